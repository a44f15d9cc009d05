import json
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.main import main
from penstock.testing.project import Project, project

AGENT = "registry_repo/agents/writer/1.0.0.yaml"


def run(made: Project, *words: str) -> int:
    return main(["--project", str(made.root), *words])


def test_validate_says_yes_and_no(small: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(small, "validate") == 0
    assert capsys.readouterr().out == "5 documents are valid\n"
    small.write({AGENT: (small.root / AGENT).read_text().replace("mode: workflow", "mode: x")})
    assert run(small, "validate") == 1
    assert f"{AGENT}:5:9: spec.mode: 'x' is none of" in capsys.readouterr().err
    assert run(small, "validate", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["valid"], document["faults"][0]["line"]) == (False, 5)


def test_validate_with_a_base_judges_the_change(small: Project, capsys: pytest.CaptureFixture[str]) -> None:
    small.branch("side")
    text = (small.root / AGENT).read_text()
    small.commit(
        {
            AGENT: text + "# sly\n",
            "registry_repo/stages/writer.yaml": "apiVersion: penstock.dev/v1\nkind: Stages\nmetadata: {name: writer}\n"
            "spec: {}\n",
            "runtimes/direct.yaml": (small.root / "runtimes/direct.yaml").read_text() + "# mine now\n",
        }
    )
    assert run(small, "validate", "--base", "main") == 1
    said = capsys.readouterr().err
    assert "is released and was changed" in said
    assert "is edited by hand (author@example.org)" in said
    assert "belongs to platform, and author@example.org is not of that team" in said


def test_a_new_agent_version_with_a_disabled_pin_is_refused(small: Project, capsys: pytest.CaptureFixture[str]) -> None:
    small.commit({"registry_repo/retired.yaml": "disabled: [tools/search@1.0.0]\n"})
    assert run(small, "validate") == 0, "a released version is not made invalid by it"
    small.branch("side")
    text = (small.root / AGENT).read_text()
    small.commit({AGENT.replace("1.0.0", "1.1.0"): text.replace("version: 1.0.0", "version: 1.1.0")})
    capsys.readouterr()
    assert run(small, "validate", "--base", "main") == 1
    assert "tools/search@1.0.0 is disabled in retired.yaml" in capsys.readouterr().err


def test_validate_in_a_shallow_clone_is_exit_3(
    tmp_path: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = project(files, tmp_path / "project", remote=True)
    made.branch("side")
    made.commit({"a": "1"})
    made.git("push", "--quiet", "origin", "side")
    made.git("checkout", "--quiet", "main")
    made.commit({"b": "1"})
    made.push()
    words = ["git", "clone", "-q", "--depth=1", "--no-single-branch", "-b", "side", f"file://{made.remote}"]
    subprocess.run([*words, str(tmp_path / "clone")], check=True)
    assert main(["--project", str(tmp_path / "clone"), "validate", "--base", "origin/main"]) == 3
    assert "git fetch --unshallow" in capsys.readouterr().err


def test_a_literal_secret_is_refused_and_not_shown(small: Project, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "ghp_" + "a1B2" * 9
    path = "registry_repo/prompts/writer/1.0.0.md"
    small.write({path: (small.root / path).read_text() + f"Use {secret}.\n"})
    assert run(small, "validate") == 1
    said = capsys.readouterr()
    assert f"{path}:8:5: holds a literal secret (GitHub Token)" in said.err
    assert secret not in said.err + said.out


def test_list_show_and_impact(small: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(small, "list", "--kind", "tool", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["name"], row["createdAt"]) == ("search", "")
    assert run(small, "list", "--rev", "HEAD", "--label", "tier=low") == 0
    assert "standard" in capsys.readouterr().out
    assert run(small, "list", "--label", "tier") == 2
    assert run(small, "show", "writer", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert run(small, "show", "writer@1.0.0", "--rev", "HEAD") == 0
    assert shown["digest"] in capsys.readouterr().out
    assert run(small, "show", "writre") == 1
    capsys.readouterr()
    assert run(small, "impact", "--base", "HEAD", "--json") == 0
    assert json.loads(capsys.readouterr().out)["void"] == []
    assert run(small, "impact", "--base", "nowhere") == 1


def test_validate_imports_nothing_heavy(small: Project) -> None:
    code = (
        "import sys; from penstock.cli.main import main; status = main(sys.argv[1:]);"
        "heavy = {'litellm', 'sqlalchemy', 'dagster', 'langgraph', 'pandas', 'obstore', 'fastapi', 'detect_secrets'};"
        "print(sorted(heavy & set(sys.modules))); sys.exit(status)"
    )
    words = [sys.executable, "-c", code, "--project", str(small.root), "validate"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_faults_of_eval_suites_are_told_once(
    tmp_path: Path, files_of_evals: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    suite = files_of_evals["evals/writer.yaml"].replace("own/good_titles}", "own/bad_titles}", 1)
    suite = suite.replace("scorer: trajectory,", "scorer: trajectroy,")
    made = project({**files_of_evals, "evals/writer.yaml": suite}, tmp_path / "project")
    assert run(made, "validate", "--json") == 1
    faults = json.loads(capsys.readouterr().out)["faults"]
    places = [(fault["path"], fault["line"], fault["column"]) for fault in faults]
    assert len(set(places)) == len(places)
    told = {fault["pointer"]: (fault["what"], fault["hint"]) for fault in faults}
    assert told["spec.scorers[0].scorer"] == (
        "there is no evals/scorers/bad_titles.py",
        "did you mean 'own/good_titles'?",
    )
    assert told["spec.scorers[1].scorer"][0] == "no scorer 'trajectroy'"
    assert "did you mean 'trajectory'?" in told["spec.scorers[1].scorer"][1]
