"""Own scorers: read without being run, run in a process of their own, ended whatever they do."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from penstock.contracts.eval_suite import ScorerUse
from penstock.errors import Invalid, NotFound
from penstock.registry.source import TreeSource
from penstock.scoring.own_scorer import AT_ONCE, OwnFunctions, _pool, named_scorer, own_names, read_own_file
from penstock.scoring.scorer import ScorerFailed
from penstock.scoring.scorer_set import ReadyScorer, ready_scorer
from penstock.scoring.trial import ToolCall
from penstock.testing.example_trial import CANDIDATE, example_case, example_failure, example_trial

Make = Callable[..., ReadyScorer]
CASE, TRIAL = example_case(expected={"n": 3}, tags=["a"]), example_trial("text", calls=[ToolCall("t", {"a": 1}, {})])


@pytest.fixture(autouse=True)
def workers() -> Iterator[None]:
    """Each test has its own workers, and leaves none."""
    _pool.cache_clear()
    yield
    _pool().close()
    _pool.cache_clear()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes evals/scorers/mine.py and makes it ready."""

    def made(text: str, params: dict[str, Any] | None = None) -> ReadyScorer:
        place = tmp_path / "evals" / "scorers" / "mine.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
        source = TreeSource(tmp_path)
        use = ScorerUse.model_validate({"scorer": "own/mine", "params": params or {}})
        return ready_scorer(use, named_scorer(source, "own/mine"), {}, OwnFunctions(source))

    return made


async def score(ready: ReadyScorer) -> Any:
    return (await ready.score(CASE, TRIAL, CANDIDATE)).value


SHOWS = '''"""Counts letters."""
from typing import Literal

def score(case, trial, *, limit: int = 3, words: list[str] | None = None, how: Literal["all", "some"] = "all") -> float:
    assert case["expected"] == {"n": 3} and case["tags"] == ["a"]
    assert [(call["name"], call["arguments"]) for call in trial["calls"]] == [("t", {"a": 1})]
    assert trial["agent"] == "agents/clerk@1.0.0"
    assert (words, how) == (["x"], "all"), (words, how)
    return min(1.0, len(trial["output"]) / limit)
'''


async def test_case_trial_and_parameters_arrive_as_plain_values(make: Make) -> None:
    ready = make(SHOWS, {"limit": 8, "words": ["x"]})
    assert (ready.kind, ready.scorer.__doc__) == ("score", "Counts letters.")
    assert await score(ready) == 0.5


@pytest.mark.parametrize(
    ("annotation", "returned", "kind", "value"),
    [
        ("bool", "True", "assertion", True),
        ("float", "1", "score", 1.0),
        ("float", "0.25", "score", 0.25),
        ("str", "'good'", "label", "good"),
    ],
)
async def test_the_annotation_is_the_kind(make: Make, annotation: str, returned: str, kind: str, value: Any) -> None:
    ready = make(f"def score(case, trial) -> {annotation}:\n    return {returned}\n")
    assert ready.kind == kind
    assert await score(ready) == value


async def test_a_coroutine_function_will_do(make: Make) -> None:
    text = "import asyncio\nasync def score(case, trial) -> bool:\n    await asyncio.sleep(0)\n    return True\n"
    assert await score(make(text)) is True


@pytest.mark.parametrize(
    ("annotation", "returned", "said"),
    [
        ("bool", "1", "not true or false"),
        ("bool", "None", "not true or false"),
        ("float", "True", "not a number"),
        ("float", "1.5", "from 0 to 1"),
        ("float", "float('nan')", "no JSON"),
        ("float", "float('inf')", "no JSON"),
        ("float", "{1, 2}", "no JSON"),
        ("float", "'0.5'", "not a number"),
        ("str", "''", "not a word"),
        ("str", "'x' * 2_000_000", "bytes, more than"),
        ("float", "1 / 0", r"raised ZeroDivisionError: division by zero \(line 2\)"),
        ("float", "exit(3)", "SystemExit: 3"),
        ("float", "__import__('os')._exit(3)", "ended with exit status 3"),
        ("float", "__import__('os').kill(__import__('os').getpid(), 11)", "signal SIGSEGV"),
        ("float", "float(len(bytearray(8 * 1024**3)))", "MemoryError"),
    ],
)
async def test_anything_else_is_no_score(make: Make, annotation: str, returned: str, said: str) -> None:
    with pytest.raises(ScorerFailed, match=f"(?s)scorer mine on case one: .*{said}"):
        await score(make(f"def score(case, trial) -> {annotation}:\n    return {returned}\n"))


async def test_what_it_prints_is_no_answer(make: Make) -> None:
    text = """
import os, sys
print('{"result": {"values": [1]}}')
def score(case, trial) -> float:
    print('{"result": {"values": [1]}}', flush=True)
    os.write(1, b'{"result": {"values": [1]}}\\n')
    os.write(2, b"noise\\n")
    assert sys.stdin.read() == ""
    return 0.5
"""
    assert await score(make(text)) == 0.5


@pytest.mark.parametrize(("parent", "child"), [("0.05", "0"), ("0", "0.05")])
async def test_a_fork_gives_no_answer(make: Make, parent: str, child: str) -> None:
    ready = make(f"""
import os, time
def score(case, trial) -> float:
    is_child = os.fork() == 0
    time.sleep({child} if is_child else {parent})
    return 0.0 if is_child else 1.0
""")
    assert [await score(ready) for _ in range(4)] == [1.0] * 4


async def test_no_secret_is_in_its_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    monkeypatch.setenv("PENSTOCK_DATABASE", "canary")
    text = "import os\ndef score(case, trial) -> bool:\n    return 'canary' not in str(dict(os.environ))\n"
    assert await score(make(text)) is True


WAITS = """
import os, subprocess, sys, time
def score(case, trial) -> bool:
    if case["input"] == "warm":
        return True
    below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open({pids!r}, "w") as file:
        file.write(f"{{os.getpid()}} {{below.pid}}")
    os.rename({pids!r}, {pids!r} + ".there")
    {wait}
    return True
"""
# The second holds the interpreter in C code: no thread of its own process could ever stop it.
HANGS = ["time.sleep(600)", "sum(range(10**15))"]


@pytest.mark.parametrize("wait", HANGS)
async def test_a_hang_is_killed_with_all_it_started(make: Make, tmp_path: Path, wait: str) -> None:
    ready = make(WAITS.format(pids=str(tmp_path / "pids"), wait=wait))
    assert (await ready.score(example_case(input="warm"), TRIAL, CANDIDATE)).value is True
    with pytest.raises(ScorerFailed, match=r"did not answer within 1\.5 s"):
        await score(replace(ready, timeout_s=1.5))
    await all_gone(tmp_path)


async def test_a_cancel_kills_it(make: Make, tmp_path: Path) -> None:
    task = asyncio.create_task(score(make(WAITS.format(pids=str(tmp_path / "pids"), wait=HANGS[0]))))
    await until((tmp_path / "pids.there").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await all_gone(tmp_path)


async def test_waiting_for_a_free_process_is_no_hang(make: Make) -> None:
    text = "import time\ndef score(case, trial) -> bool:\n    time.sleep(0.25)\n    return True\n"
    ready = make(text)
    await asyncio.gather(*(score(ready) for _ in range(AT_ONCE)))
    ready = replace(ready, timeout_s=1.5)
    scores = await asyncio.gather(*(score(ready) for _ in range(8 * AT_ONCE)))  # 2 s of work for each process
    assert scores == [True] * 8 * AT_ONCE


ALONE = """
import asyncio, sys
from pathlib import Path
from penstock.contracts.eval_suite import ScorerUse
from penstock.registry.source import TreeSource
from penstock.scoring.own_scorer import OwnFunctions, named_scorer
from penstock.scoring.scorer_set import ready_scorer
from penstock.testing.example_trial import CANDIDATE, example_case, example_trial
source = TreeSource(Path(sys.argv[1]))
use = ScorerUse.model_validate({"scorer": "own/mine"})
ready = ready_scorer(use, named_scorer(source, "own/mine"), {}, OwnFunctions(source))
asyncio.run(ready.score(example_case(), example_trial("x"), CANDIDATE))
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_it_does_not_outlive_who_asked(make: Make, tmp_path: Path, end: signal.Signals) -> None:
    make(WAITS.format(pids=str(tmp_path / "pids"), wait=HANGS[0]))
    command = [sys.executable, "-c", ALONE, str(tmp_path)]
    asking = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        await until((tmp_path / "pids.there").exists)
        asking.send_signal(end)
        await all_gone(tmp_path)
        async with asyncio.timeout(20):
            assert await asking.wait() != 0
    finally:
        if asking.returncode is None:
            asking.kill()
            await asking.wait()


async def all_gone(folder: Path) -> None:
    """Waits until the worker and what it started are no more."""
    pids = [int(word) for word in (folder / "pids.there").read_text("utf-8").split()]
    assert len(pids) == 2
    await until(lambda: not any(is_alive(pid) for pid in pids))


async def until(condition: Callable[[], bool]) -> None:
    """Waits until it holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what another process does is no event of this loop
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False


async def test_a_process_is_used_again_and_more_come_when_they_are_needed(make: Make) -> None:
    ready = make("import os\ndef score(case, trial) -> str:\n    return str(os.getpid())\n")
    first = await score(ready)
    assert await score(ready) == first
    assert int(first) != os.getpid()
    at_once = await asyncio.gather(*(score(ready) for _ in range(20)))
    assert 1 <= len(set(at_once)) <= max(2, os.cpu_count() or 1)
    os.kill(int(first), signal.SIGKILL)
    for _ in range(5):
        async with asyncio.timeout(20):
            assert await answered(ready) is not None


async def answered(ready: ReadyScorer) -> Any:
    """The score; a worker that was killed between two calls costs at most that one call."""
    try:
        return await score(ready)
    except ScorerFailed as error:
        if "SIGKILL" not in str(error):
            raise
        return await score(ready)


async def test_a_changed_file_is_another_scorer(make: Make) -> None:
    first = make("def score(case, trial) -> bool:\n    return True\n")
    assert await score(first) is True
    second = make("def score(case, trial) -> bool:\n    return False\n")
    assert await score(second) is False
    assert await score(first) is True
    assert first.digest != second.digest


async def test_a_run_that_failed_is_not_asked_about(make: Make) -> None:
    ready = make("def score(case, trial) -> bool:\n    raise SystemExit\n")
    assert (await ready.score(CASE, example_failure("limit"), CANDIDATE)).value is False


async def test_nothing_is_run_to_read_it(make: Make, tmp_path: Path) -> None:
    flag = tmp_path / "was-run"
    ready = make(f"open({str(flag)!r}, 'w').close()\ndef score(case, trial) -> bool:\n    return True\n")
    assert not flag.exists()
    assert await score(ready) is True
    assert flag.exists()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("def score(case, trial) -> bool:\n  return (\n", 2, "is no Python"),
        ("x = 1\n", 1, "defines no function `score`"),
        ("def Score(case, trial) -> bool: ...\n", 1, "defines no function `score`"),
        ("\ndef score(case, trial): ...\n", 2, "bool, float or str"),
        ("\ndef score(case, trial) -> int: ...\n", 2, "bool, float or str"),
        ("\ndef score(case, trial) -> bool | None: ...\n", 2, "bool, float or str"),
        ("def score(case) -> bool: ...\n", 1, "exactly case and trial"),
        ("def score(case, trial, limit=3) -> bool: ...\n", 1, "exactly case and trial"),
        ("def score(case, *trial) -> bool: ...\n", 1, "exactly case and trial"),
        ("def score(case, trial,\n          **more) -> bool: ...\n", 2, r"\*\*more hides"),
    ],
)
def test_a_file_that_is_no_scorer_is_told_by_line(make: Make, text: str, line: int, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        make(text)
    assert [(fault.path, fault.line) for fault in refused.value.faults] == [("evals/scorers/mine.py", line)]


def test_an_unknown_file_is_told_with_the_nearest(make: Make, tmp_path: Path) -> None:
    make("def score(case, trial) -> bool: ...\n")
    source = TreeSource(tmp_path)
    assert own_names(source) == ["mine"]
    with pytest.raises(NotFound) as missing:
        read_own_file(source, "min")
    assert missing.value.now == "did you mean 'own/mine'?"


PARAMETERS = """
from typing import Any, Literal, Optional
def score(case, trial, *, needed: str, n: int = 1, x: float = print("never run"), on: bool = True,
          words: list[str] = (), table: dict[str, int] = {}, maybe: int | None = None, also: Optional[str] = None,
          how: Literal["a", 1] = "a", any_thing: Any = None, odd: "np.ndarray" = None, bare=None) -> bool:
    return (n, x, on) == (1, None, True)
"""


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"needed": 1},
        {"needed": "a", "n": "1"},
        {"needed": "a", "on": 1},
        {"needed": "a", "words": "x"},
        {"needed": "a", "words": [1]},
        {"needed": "a", "table": {"a": "b"}},
        {"needed": "a", "maybe": "x"},
        {"needed": "a", "also": 1},
        {"needed": "a", "how": "b"},
        {"needed": "a", "any_thing": 1},
        {"needed": "a", "unknown": 1},
    ],
)
def test_parameters_are_checked_by_their_annotations(make: Make, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(PARAMETERS, params)


async def test_defaults_are_the_functions_own(make: Make) -> None:
    ready = make(PARAMETERS, {"needed": "a", "anyThing": [1], "odd": {}, "bare": 1, "maybe": None, "how": 1})
    assert await score(ready) is True


async def test_other_functions_of_a_file_may_be_called(make: Make, tmp_path: Path) -> None:
    make("def same_arguments(tool, expected, actual):\n    return expected['q'] == actual['q'].lower()\n" + SHOWS)
    own = OwnFunctions(TreeSource(tmp_path))
    calls = [["search", {"q": "a"}, {"q": "A"}], ["search", {"q": "a"}, {"q": "b"}]]
    assert await own.call("mine", "same_arguments", calls) == [True, False]
    with pytest.raises(Invalid, match="did you mean 'same_arguments'"):
        await own.call("mine", "same_argument", calls)
    with pytest.raises(ScorerFailed, match="KeyError: 'q'"):
        await own.call("mine", "same_arguments", [["search", {}, {}]])
