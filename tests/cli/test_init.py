import json
from pathlib import Path

import pytest

from penstock.cli.main import main


@pytest.fixture(autouse=True)
def _identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada Author\n\temail = ada@example.org\n", "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


def test_init_says_what_it_made_and_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "proj")]) == 0
    out = capsys.readouterr().out
    assert "committed as " in out
    assert "on main" in out
    assert "agentctl new agent NAME" in out


def test_init_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "proj"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["root"] == str(tmp_path / "proj")
    assert document["branch"] == "main"
    assert len(document["commit"]) == 40
    assert document["notCommitted"] is None
    assert all((tmp_path / "proj" / path).is_file() for path in document["created"])


def test_init_twice_is_refused_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", str(tmp_path / "proj")])
    (tmp_path / "proj/README.md").write_text("edited")
    capsys.readouterr()
    assert main(["init", str(tmp_path / "proj"), "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["type"] == "conflict"
    assert "  README.md\n" in said.err
    assert (tmp_path / "proj/README.md").read_text() == "edited"


def test_init_without_an_identity_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gitconfig").write_text("")
    assert main(["init", str(tmp_path / "proj")]) == 0
    assert "not committed: Git does not know who you are" in capsys.readouterr().out


def test_init_without_git_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["init", str(tmp_path / "proj")]) == 3
    assert "git is not installed" in capsys.readouterr().err
    assert not (tmp_path / "proj").exists()
