import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.contracts.release import Release
from penstock.errors import Invalid
from penstock.gates.context import GateContext
from penstock.gates.gate import run_gate
from penstock.gates.unit import scrubbed_environment, write_files

TOOL = "from .words import shout\n\n\nasync def search(arguments, ctx):\n    return {'said': shout(arguments['q'])}\n"
WORDS = "def shout(text):\n    return text.upper()\n"
GOOD = "def test_it(tool):\n    assert tool({'q': 'a'}) == {'said': 'A'}\n"

Judge = Callable[..., GateResult]


@pytest.fixture
def judge(
    context: Callable[..., GateContext], release_of: Callable[..., Release], tool_of: Callable[..., dict[str, Any]]
) -> Judge:
    """The result of the unit gate for tools with these files: `judge({"tool.py": ...}, timeoutS=5)`."""

    def run(*tools: dict[str, str], **params: Any) -> GateResult:
        made = [tool_of(files, name=f"search{number}") for number, files in enumerate(tools)]
        blobs = {digest_bytes(text.encode()): text.encode() for files in tools for text in files.values()}
        made_context = context(release_of(made), blobs=blobs)
        return run_gate(made_context, GateUse.model_validate({"gate": "unit", "params": params}))

    return run


def test_no_tool_says_so(judge: Judge) -> None:
    result = judge()
    assert (result.outcome, result.reason) == ("passed", "no tool to test")


def test_an_http_tool_has_nothing_to_run_and_that_is_said(
    context: Callable[..., GateContext], release_of: Callable[..., Release], tool_of: Callable[..., dict[str, Any]]
) -> None:
    web = tool_of({}, name="web")
    web["document"]["spec"]["implementation"] = {"type": "http", "method": "GET", "url": "https://api.example.com/"}
    files = {"tool.py": TOOL, "words.py": WORDS, "test_tool.py": GOOD}
    blobs = {digest_bytes(text.encode()): text.encode() for text in files.values()}
    alone = run_gate(context(release_of([web])), GateUse.model_validate({"gate": "unit"}))
    assert (alone.outcome, alone.reason) == ("passed", "no tool to test; 1 tool without code of its own")
    beside = run_gate(context(release_of([web, tool_of(files)]), blobs=blobs), GateUse.model_validate({"gate": "unit"}))
    assert (beside.outcome, beside.reason) == ("passed", "1 test of 1 tool passed; 1 tool without code of its own")


def test_tests_beside_a_tool_run_with_the_tool_loaded_as_in_production(judge: Judge) -> None:
    result = judge({"tool.py": TOOL, "words.py": WORDS, "test_tool.py": GOOD})
    assert result.reason == "1 test of 1 tool passed"
    assert (result.outcome, result.measured) == ("passed", {"tools": 1, "tests": 1})


def test_a_failing_test_is_named(judge: Judge) -> None:
    bad = GOOD + "\n\ndef test_other(tool):\n    assert tool({'q': 'b'})['said'] == 'b'\n"
    result = judge({"tool.py": TOOL, "words.py": WORDS, "test_tool.py": bad})
    assert result.outcome == "failed"
    assert result.reason.startswith("tools/search0@1.0.0: 1 of 2 tests failed: test_other: AssertionError")
    assert "test_other" in result.artifacts["tools"][0]["log"]


def test_each_tool_is_tested(judge: Judge) -> None:
    broken = GOOD.replace("'A'", "'a'")
    result = judge(
        {"tool.py": TOOL, "words.py": WORDS, "test_tool.py": GOOD},
        {"tool.py": TOOL, "words.py": WORDS, "test_tool.py": broken},
    )
    assert (result.outcome, result.measured) == ("failed", {"tools": 2, "tests": 2})
    assert "tools/search1@1.0.0" in result.reason
    assert "search0" not in result.reason


@pytest.mark.parametrize(
    "tests",
    [
        {},
        {"test_tool.py": "import pytest\n\n\n@pytest.mark.skip\ndef test_it(tool):\n    pass\n"},
        {"check.py": GOOD},
    ],
)
def test_a_tool_without_a_test_that_ran_fails(judge: Judge, tests: dict[str, str]) -> None:
    result = judge({"tool.py": TOOL, "words.py": WORDS, **tests})
    assert result.outcome == "failed"
    assert "no test ran: write test_*.py" in result.reason


def test_a_tool_that_cannot_be_imported_fails(judge: Judge) -> None:
    result = judge({"tool.py": "import nothing_of_this_name\n", "test_tool.py": GOOD})
    assert result.outcome == "failed"
    assert "nothing_of_this_name" in result.reason


def test_a_test_file_that_cannot_be_imported_fails(judge: Judge) -> None:
    result = judge({"tool.py": TOOL, "words.py": WORDS, "test_tool.py": "def test_it(:\n"})
    assert result.outcome == "failed"
    assert result.reason.startswith("tools/search0@1.0.0: ")


def test_a_process_that_ends_itself_does_not_pass(judge: Judge) -> None:
    result = judge({"tool.py": TOOL, "words.py": WORDS, "test_tool.py": "import os\nos._exit(0)\n"})
    assert result.outcome == "failed"
    assert "no test ran" in result.reason


def test_no_secret_and_no_setting_reaches_the_tests(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "PENSTOCK_RELEASES_URL", "CI_JOB_TOKEN", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret-value")
    look = (
        "import os\n\n\ndef test_it(tool):\n"
        "    assert [name for name, value in os.environ.items() if 'secret-value' in value] == []\n"
        "    assert sorted(name for name in os.environ if name.startswith('PENSTOCK')) == "
        "['PENSTOCK_TOOL_ENTRY', 'PENSTOCK_TOOL_FOLDER']\n"
        "    assert os.environ['HOME'].startswith(os.environ['TMPDIR'])\n"
    )
    result = judge({"tool.py": TOOL, "words.py": WORDS, "test_tool.py": look})
    assert (result.outcome, result.reason) == ("passed", "1 test of 1 tool passed")


def test_a_hanging_test_is_killed_with_its_children(judge: Judge, tmp_path: Path) -> None:
    marker = tmp_path / "child.pid"
    hang = (
        "import subprocess, sys, time\n\n\ndef test_it(tool):\n"
        f"    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"    open({str(marker)!r}, 'w').write(str(child.pid))\n"
        "    time.sleep(60)\n"
    )
    started = time.monotonic()
    result = judge({"tool.py": TOOL, "words.py": WORDS, "test_tool.py": hang}, timeoutS=5)
    assert (result.outcome, result.reason) == ("failed", "tools/search0@1.0.0: its tests did not end within 5 s")
    assert time.monotonic() - started < 20
    child = Path(f"/proc/{marker.read_text()}/stat")
    deadline = time.monotonic() + 5
    while child.exists() and child.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < deadline, "the child still runs"
        os.sched_yield()


def test_a_file_whose_bytes_are_missing_is_no_evidence(
    context: Callable[..., GateContext], release_of: Callable[..., Release], tool_of: Callable[..., dict[str, Any]]
) -> None:
    made = context(release_of([tool_of({"tool.py": TOOL})]), blobs={})
    result = run_gate(made, GateUse.model_validate({"gate": "unit"}))
    assert (result.outcome, result.reason) == ("errored", "tools/search@1.0.0 lacks the bytes of tool.py")


def test_a_file_cannot_leave_its_folder(release_of: Callable[..., Release], tool_of: Any, tmp_path: Path) -> None:
    [tool] = release_of([tool_of({"../out.py": "x = 1\n"})]).tools
    with pytest.raises(Invalid, match="leads out of the tool's folder"):
        write_files(tool, {digest_bytes(b"x = 1\n"): b"x = 1\n"}, tmp_path / "tool")
    assert list(tmp_path.rglob("*.py")) == []


def test_the_environment_is_written_out_not_filtered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING_NEW", "x")
    assert set(scrubbed_environment(tmp_path)) <= {
        *("LANG", "LC_ALL", "TZ", "SYSTEMROOT", "PATH", "HOME", "TMPDIR", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    }
