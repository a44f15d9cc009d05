import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from penstock.cli.main import main
from penstock.contracts.schema_export import KINDS, file_name, schema_of
from penstock.errors import NotFound
from penstock.testing.project import project


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema_that_is_one(kind: str) -> None:
    schema = schema_of(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]
    assert not any("_" in name for name in schema["properties"])


def test_specs_forbid_unknown_fields_and_records_keep_them() -> None:
    assert schema_of("agent")["additionalProperties"] is False
    assert schema_of("Release").get("additionalProperties", True) is True
    with pytest.raises(NotFound, match="kinds: Agent"):
        schema_of("agents")


def test_the_command_prints_writes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project({}, tmp_path / "project").root
    assert main(["schema", "RoutingTable"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "RoutingTable"
    there = ["--project", str(root), "schema"]
    assert main([*there, "--check"]) == 1
    assert main([*there, "--write"]) == 0
    assert main([*there, "--check"]) == 0
    file = root / "schemas" / file_name("PolicySpec").replace("policy-spec", "policy")
    released = json.loads(file.read_text())
    released["properties"]["gone"] = {"type": "string"}
    file.write_text(json.dumps(released))
    capsys.readouterr()
    assert main([*there, "--write"]) == 1, "a released promise is not overwritten"
    assert "policy.json: gone: was removed or renamed" in capsys.readouterr().out
    assert main([*there, "--write", "--check"]) == 2
