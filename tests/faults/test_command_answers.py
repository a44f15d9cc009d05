"""What every command owes its caller: one JSON document, the right status, a sentence; never a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock.testing.project import Project, project

AGENTCTL = (sys.executable, "-m", "penstock.cli.main")
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with nothing in it but its settings."""
    return project({}, tmp_path_factory.mktemp("empty") / "project")


@pytest.fixture
def agentctl(empty: Project) -> Run:
    """Runs the command as its own process, without a terminal."""

    def run(
        *words: str, environment: Mapping[str, str] | None = None, **more: Any
    ) -> "subprocess.CompletedProcess[bytes]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.run(
            [*AGENTCTL, *words], cwd=empty.root, env={**kept, **(environment or {})}, timeout=30, check=False, **streams
        )

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("--no-such-option",),
        ("impact",),
        ("plan", "a@1.0.0", "--to", "moon"),
        ("runs", "--limit", "0"),
        ("list", "--kind", "Robot"),
        ("contract", "a"),
        ("routes", "diff"),
        ("new", "agent"),
        ("serve", "--port", "99999"),
        ("run", "a", "--input", "/dev/zero"),
        ("run", "a", "--input", "{"),
        ("deprecate", "a", "--reason", "x"),
    ],
)
def test_wrong_use_is_status_2_and_one_document(agentctl: Run, words: tuple[str, ...]) -> None:
    done = agentctl(*words, "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "wrong-use"
    assert error["what"]
    assert error["now"]
    assert done.stderr
    assert b"Traceback" not in done.stderr


def test_who_reads_no_more_does_not_change_the_answer(agentctl: Run) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert agentctl("schema", stdout=writing).returncode == 0
        assert agentctl("show", "nobody", "--json", stdout=writing).returncode == 1
        assert agentctl("impact", "--base", "nowhere", stderr=writing).returncode == 1
    finally:
        os.close(writing)


def test_an_answer_that_cannot_be_written_is_the_environments_fault(agentctl: Run) -> None:
    with Path("/dev/full").open("wb") as full:
        done = agentctl("schema", stdout=full)
    assert done.returncode == 3
    assert b"standard output: cannot be written: No space left on device" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "status", "words"),
    [
        ("POLL_MS", "soon", 2, b"poll_ms"),
        ("DRIVER", "me", 2, b"driver"),
        ("BOT_EMAIL", "", 2, b"bot_email"),
        ("DATABASE_URL", "nonsense", 2, b"nonsense: is no database URL"),
        ("DATABASE_URL", "sqlite:////proc/none/store.db", 3, b"the database's folder cannot be made"),
    ],
)
def test_settings_that_make_no_sense_are_named(agentctl: Run, name: str, value: str, status: int, words: bytes) -> None:
    done = agentctl("runs", environment={f"PENSTOCK_{name}": value})
    assert done.returncode == status
    assert words in done.stderr
    assert b"unexpected" not in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"tool = 5\n", b"not inside a Penstock project"),
        (b"\xff\xfe", b"cannot be read"),
        (b"[tool.penstock\n", b"cannot be read"),
        (b"[tool.penstock]\npol_ms = 5\n", b"pol_ms"),
    ],
)
def test_a_pyproject_that_makes_no_sense_is_named(agentctl: Run, tmp_path: Path, content: bytes, words: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    done = agentctl("--project", str(tmp_path), "validate")
    assert done.returncode == 2
    assert words in done.stderr
    assert b"unexpected" not in done.stderr
