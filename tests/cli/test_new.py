import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.scaffold.project import lay_down_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada Author\n\temail = ada@example.org\n", "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return lay_down_project(tmp_path / "proj").root


def agentctl(root: Path, *words: str, status: int = 0) -> Any:
    """One command as its own process, as a person would type it; its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "penstock.cli.main", *words, "--json"],
        cwd=root,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True)


def test_from_an_empty_folder_init_new_agent_and_check_pass_with_no_edit(root: Path) -> None:
    made = agentctl(root, "new", "agent", "invoice-check")
    assert "registry_repo/agents/invoice-check/1.0.0.yaml" in made["created"]
    assert sorted(made["recorded"]) == [
        f"contract_suites/invoice-check/1.0.0/{case}.jsonl" for case in ("embedded-instruction", "known-term")
    ]
    verdicts = agentctl(root, "check", "invoice-check@1.0.0")
    assert [gate["outcome"] for gate in verdicts["versions"][0]["gates"]] == ["passed"] * 3
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "A new agent")
    agentctl(root, "check", "invoice-check@1.0.0")

    again = agentctl(root, "new", "agent", "invoice-check", status=1)
    assert again["error"]["type"] == "conflict"

    agentctl(root, "new", "version", "prompts/invoice-check@1.0.0", "1.1.0")
    newer = agentctl(root, "new", "version", "invoice-check@1.0.0", "1.1.0", "--bump", "prompts/invoice-check@1.1.0")
    assert newer["created"] == ["registry_repo/agents/invoice-check/1.1.0.yaml"]
    assert len(newer["recorded"]) == 2
    agentctl(root, "check", "invoice-check@1.1.0")


def test_a_new_tool_says_how_it_is_used(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--project", str(root), "new", "tool", "look-up"]) == 0
    out = capsys.readouterr().out
    assert "created  registry_repo/tools/look-up/1.0.0/tool.py" in out
    assert "pin tools/look-up@1.0.0" in out


def test_a_new_tool_passes_its_own_test(root: Path) -> None:
    main(["--project", str(root), "new", "tool", "look-up"])
    folder = root / "registry_repo/tools/look-up/1.0.0"
    command = [sys.executable, "-m", "pytest", str(folder), "-c", "/dev/null", "--rootdir", str(folder)]
    options = ["--import-mode=importlib", "-p", "penstock.testing.tool_fixture", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=60)
    assert "4 passed" in done.stdout, done.stdout


def test_a_released_version_is_refused_even_where_its_file_is_gone(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = root / "registry_repo/tools/requirement-search"
    (tool / "1.0.1.yaml").write_text((tool / "1.0.0.yaml").read_text().replace("version: 1.0.0", "version: 1.0.1"))
    (tool / "1.0.1").mkdir()
    for file in (tool / "1.0.0").iterdir():
        (tool / "1.0.1" / file.name).write_bytes(file.read_bytes())
    git(root, "rm", "-rq", "--cached", "registry_repo/tools/requirement-search/1.0.0.yaml")
    (tool / "1.0.0.yaml").unlink()
    assert main(["--project", str(root), "new", "version", "tools/requirement-search@1.0.1", "1.0.0"]) == 1
    assert "a released version never changes" in capsys.readouterr().err
    assert not (tool / "1.0.0.yaml").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["agent", "Bad_Name"], 2, "is no name"),
        (["agent", "a", "--owner", "nobody"], 1, "no team 'nobody'"),
        (["tool", "requirement-search"], 1, "are there already"),
        (["version", "testcase-generator", "1.1.0"], 2, "is no reference"),
        (["version", "testcase-generator@9.0.0", "9.1.0"], 1, "testcase-generator@9.0.0"),
        (["version", "testcase-generator@1.0.0", "next"], 2, "is no version"),
        (["version", "testcase-generator@1.0.0", "1.1.0", "--bump", "x@1.0.0"], 2, "is no reference"),
    ],
)
def test_what_cannot_be_is_said(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str
) -> None:
    before = sorted(root.rglob("*"))
    assert main(["--project", str(root), "new", *words]) == status
    assert said in capsys.readouterr().err
    assert sorted(root.rglob("*")) == before


def test_an_agent_that_cannot_be_recorded_stays_and_that_is_said(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = root / "registry_repo/models/standard/1.0.0.yaml"
    text = model.read_text().replace(
        "  contextTokens", "  parameters: {apiKey: {secret: NO_SUCH_KEY}}\n  contextTokens"
    )
    model.write_text(text.replace("scripted/qa-rules", "openai/some-model"))
    assert main(["--project", str(root), "new", "agent", "a"]) == 1
    assert "`agentctl record a@1.0.0`" in capsys.readouterr().err
    assert (root / "registry_repo/agents/a/1.0.0.yaml").is_file()
    assert not (root / "contract_suites/a/1.0.0").exists()
