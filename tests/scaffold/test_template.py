import ast
import json

import pytest
import yaml

from penstock.errors import Invalid
from penstock.scaffold.template import render_templates


def test_names_go_into_paths_and_texts() -> None:
    files = render_templates("tool", {"tool": "look-up", "owner": "qa"})
    document = yaml.safe_load(files["registry_repo/tools/look-up/1.0.0.yaml"].data)
    assert (document["metadata"]["name"], document["metadata"]["owner"]) == ("look-up", "qa")
    ast.parse(files["registry_repo/tools/look-up/1.0.0/tool.py"].data)
    assert json.loads(files["registry_repo/tools/look-up/1.0.0/terms.json"].data)


def test_a_prompts_own_variables_stay() -> None:
    values = {"name": "a", "tool": "t", "owner": "qa", "model": "models/m@1.0.0", "policy": "policies/p@1.0.0"}
    prompt = render_templates("agent", values)["registry_repo/prompts/a/1.0.0.md"].data.decode()
    assert "Write in {{ language }}." in prompt
    assert "the tool t." in prompt


def test_a_script_is_executable_and_dots_come_back() -> None:
    values = {"name": "p", "mail": '"a@b"', "version": "0", "runtime": "direct"}
    files = render_templates("project", values)
    assert files[".ci/run"].is_executable
    assert not files[".gitignore"].is_executable


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(Invalid, match="'owner' has no value"):
        render_templates("tool", {"tool": "t"})
