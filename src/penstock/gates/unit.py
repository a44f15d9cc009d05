"""Gate `unit`: the tests that stand beside each python tool of the release, in a process without any secret."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.release import ToolComponent
from penstock.contracts.tool import PythonImplementation
from penstock.errors import Invalid, Unavailable
from penstock.gates.context import GateContext
from penstock.gates.gate import Finding, gate

LOG_BYTES = 20_000
NO_TESTS_COLLECTED = 5
# What a tool's tests may see of this process's environment; nothing else reaches them.
PASSED_ON = ("LANG", "LC_ALL", "TZ", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class ToolTests:
    """What the tests of one tool came to. `problem` is empty when all that ran passed."""

    tool: str
    tests: int
    failures: list[str]
    problem: str
    log: str
    seconds: float


@gate("unit", revision=1)
def unit(context: GateContext, *, timeout_s: Annotated[int, Field(ge=1, le=3_600)] = 120) -> Finding:
    """Runs pytest beside each python tool, from the release's own blobs; `timeout_s` bounds each tool, seconds.

    A tool without a test, or whose tests were all skipped, fails: what is not tested was not found to work. An http
    tool has no code that could be run here; its schemas and examples are the gate `schema`'s.
    """
    all_tools = context.release.all_tools
    tools = [tool for tool in all_tools if isinstance(tool.spec.implementation, PythonImplementation)]
    without_code = len(all_tools) - len(tools)
    beside = f"; {_count(without_code, 'tool')} without code of its own" if without_code else ""
    if not tools:
        return Finding("passed", f"no tool to test{beside}", {"tools": 0, "tests": 0})
    outcomes = [run_tool_tests(tool, context.resolved.blobs, timeout_s) for tool in tools]
    broken = [outcome for outcome in outcomes if outcome.problem]
    measured = {"tools": len(outcomes), "tests": sum(outcome.tests for outcome in outcomes)}
    artifacts = {"tools": [asdict(outcome) for outcome in outcomes]}
    if broken:
        reason = "; ".join(f"{outcome.tool}: {outcome.problem}" for outcome in broken)
        return Finding("failed", reason, measured, artifacts=artifacts)
    reason = f"{_count(measured['tests'], 'test')} of {_count(len(outcomes), 'tool')} passed{beside}"
    return Finding("passed", reason, measured, artifacts=artifacts)


def run_tool_tests(tool: ToolComponent, blobs: Mapping[str, bytes], timeout_s: float) -> ToolTests:
    """Writes a python tool's files into a folder of its own and runs its tests there, killed as a group at the timeout.

    Raises `Unavailable` when they cannot be started or what the tool requires is not installed here, `Invalid` when a
    file of the release is not in `blobs`.
    """
    from penstock.tools.code import check_requires

    implementation = tool.spec.implementation
    assert isinstance(implementation, PythonImplementation)
    check_requires(implementation.requires, tool.ref)
    with tempfile.TemporaryDirectory(prefix="penstock-unit-") as scratch:
        folder = Path(scratch) / "tool"
        write_files(tool, blobs, folder)
        started = time.monotonic()
        status, log = _pytest(Path(scratch), folder, implementation.entry, timeout_s)
        seconds = round(time.monotonic() - started, 3)
        tests, failures = _read_junit(Path(scratch) / "junit.xml")
    return ToolTests(tool.ref, tests, failures, _problem(status, tests, failures, timeout_s), log, seconds)


def write_files(tool: ToolComponent, blobs: Mapping[str, bytes], folder: Path) -> None:
    """The tool's files as the release has them; each is checked against its digest."""
    for file in tool.files:
        data = blobs.get(file.digest)
        if data is None or digest_bytes(data) != file.digest:
            raise Invalid(f"{tool.ref} lacks the bytes of {file.path}", where=file.digest, now="resolve it again")
        target = folder / file.path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise Invalid(f"{file.path} leads out of the tool's folder", where=tool.ref, now="rename it")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o755 if file.executable else 0o644)
    folder.mkdir(parents=True, exist_ok=True)


def scrubbed_environment(scratch: Path) -> dict[str, str]:
    """The whole environment of a tool's tests: no secret, no credential, no setting of this project."""
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "PATH": os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin")),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _pytest(scratch: Path, folder: Path, entry: str, timeout_s: float) -> tuple[int | None, str]:
    """The exit status of pytest (None = it was killed at the timeout) and the end of what it printed."""
    (scratch / "pytest.ini").write_text("[pytest]\n", "utf-8")
    command = [
        *(sys.executable, "-I", "-B", "-m", "pytest", str(folder), "-q", "-c", str(scratch / "pytest.ini")),
        *("--rootdir", str(folder), "--import-mode=importlib", "-p", "penstock.testing.tool_fixture"),
        *("-p", "no:cacheprovider", f"--junit-xml={scratch / 'junit.xml'}"),
    ]
    environment = {**scrubbed_environment(scratch), "PENSTOCK_TOOL_FOLDER": str(folder), "PENSTOCK_TOOL_ENTRY": entry}
    with (scratch / "log").open("w+b") as log:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"pytest cannot be started: {error.strerror}", now="see `agentctl doctor`") from None
        status = _wait(process, timeout_s)
        log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_BYTES))
        return status, log.read().decode("utf-8", "replace")


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    """The exit status, or None at the timeout. Whatever happens, nothing of the group outlives this call."""
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read_junit(file: Path) -> tuple[int, list[str]]:
    """How many tests ran (skipped ones did not), and what failed; (0, []) when there is no readable file."""
    try:
        cases = list(ElementTree.parse(file).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return 0, []
    ran = [case for case in cases if case.find("skipped") is None]
    failures = [
        f"{case.get('name', '?')}: {(mark.get('message') or mark.tag).splitlines()[0][:300]}"
        for case in ran
        for mark in case
        if mark.tag in ("failure", "error")
    ]
    return len(ran), failures


def _problem(status: int | None, tests: int, failures: list[str], timeout_s: float) -> str:
    if status is None:
        return f"its tests did not end within {timeout_s:g} s"
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        return f"{len(failures)} of {tests} tests failed: {failures[0]}{more}"
    if status not in (0, NO_TESTS_COLLECTED):
        return f"pytest ended with status {status}: see its log"
    if tests == 0:
        return "no test ran: write test_*.py with a test in the tool's folder"
    return ""
