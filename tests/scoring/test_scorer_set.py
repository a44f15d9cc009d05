"""Ready scorers: values are what they should be, or there is none; nothing hangs; judges are others than the judged."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.eval_suite import EvalSpec, ScorerUse
from penstock.errors import Invalid, Unavailable
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scoring.own_scorer import OwnFunctions, _pool
from penstock.scoring.scorer import JudgeDoor, Kind, Score, Scored, Scorer, ScorerFailed
from penstock.scoring.scorer_set import ReadyScorer, ready_scorer, ready_scorers, suite_judges
from penstock.testing.example_release import example_release
from penstock.testing.example_trial import (
    CANDIDATE,
    FakeJudge,
    example_case,
    example_failure,
    example_trial,
)

CASE, TRIAL = example_case(expected="x"), example_trial("x")
CRITIC = "agents/critic@1.0.0"


def ready(
    function: Callable[..., Any], kind: Kind = "score", *, timeout_s: float = 5.0, traits: tuple[Any, ...] = ()
) -> ReadyScorer:
    """A scorer of another package."""
    scorer = Scorer("example", function, kind, 1, traits)
    use = ScorerUse.model_validate({"scorer": "example"})
    return ReadyScorer(use=use, scorer=scorer, parameters={}, digest="sha256:0", timeout_s=timeout_s)


@pytest.fixture(autouse=True)
def workers() -> Iterator[None]:
    """No process of own code is left."""
    yield
    _pool().close()
    _pool.cache_clear()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("assertion", True),
        ("assertion", False),
        ("score", 0),
        ("score", 1.0),
        ("label", "good"),
        ("measure", 0.0),
        ("measure", 12_000),
    ],
)
async def test_values_of_their_kind(kind: Kind, value: Any) -> None:
    score = await ready(lambda scored: value, kind).score(CASE, TRIAL, CANDIDATE)
    assert score.value == value
    assert isinstance(score.value, bool if kind == "assertion" else str if kind == "label" else float)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("assertion", 1),
        ("assertion", "true"),
        ("assertion", None),
        ("assertion", Score(0.5)),
        ("score", True),
        ("score", math.nan),
        ("score", math.inf),
        ("score", -0.01),
        ("score", 1.01),
        ("score", "0.5"),
        ("score", None),
        pytest.param("score", 10**400, id="huge"),
        ("label", ""),
        ("label", 5),
        ("label", "x" * 201),
        ("measure", -1.0),
        ("measure", math.nan),
        ("measure", True),
        ("score", Score(0.5, details={"bad": math.nan})),
        ("score", Score(0.5, details={"bad": object()})),
        ("score", Score(0.5, cost_usd=math.nan)),
        ("score", Score(0.5, cost_usd=-1.0)),
    ],
)
async def test_anything_else_is_no_score(kind: Kind, value: Any) -> None:
    with pytest.raises(ScorerFailed, match="scorer example on case one: "):
        await ready(lambda scored: value, kind).score(CASE, TRIAL, CANDIDATE)


async def test_an_exception_is_no_score_and_says_what_it_was() -> None:
    def broken(scored: Scored) -> float:
        raise KeyError("answer")

    with pytest.raises(ScorerFailed, match="scorer example on case one: raised KeyError: 'answer'"):
        await ready(broken).score(CASE, TRIAL, CANDIDATE)


async def test_its_own_timeout_error_is_not_ours() -> None:
    async def broken(scored: Scored) -> float:
        raise TimeoutError("the service was slow")

    with pytest.raises(ScorerFailed, match="raised TimeoutError: the service was slow"):
        await ready(broken).score(CASE, TRIAL, CANDIDATE)


async def test_what_no_trial_can_have_goes_through() -> None:
    def unavailable(scored: Scored) -> float:
        raise Unavailable("an extra is missing", now="pip install it")

    with pytest.raises(Unavailable):
        await ready(unavailable).score(CASE, TRIAL, CANDIDATE)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """Set at the test's end, so that a thread that hung can go."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_plain_function_that_hangs_is_no_score(never: threading.Event) -> None:
    def hangs(scored: Scored) -> float:
        never.wait()
        return 1.0

    with pytest.raises(ScorerFailed, match=r"did not answer within 0\.05 s"):
        await ready(hangs, timeout_s=0.05).score(CASE, TRIAL, CANDIDATE)


async def test_a_coroutine_that_hangs_is_no_score() -> None:
    async def hangs(scored: Scored) -> float:
        await asyncio.Event().wait()
        return 1.0

    with pytest.raises(ScorerFailed, match=r"did not answer within 0\.05 s"):
        await ready(hangs, timeout_s=0.05).score(CASE, TRIAL, CANDIDATE)


async def test_a_cancel_is_a_cancel() -> None:
    started = asyncio.Event()

    async def hangs(scored: Scored) -> float:
        started.set()
        await asyncio.Event().wait()
        return 1.0

    task = asyncio.create_task(ready(hangs).score(CASE, TRIAL, CANDIDATE))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_clock_stands_still_while_a_judge_is_asked() -> None:
    async def asks(scored: Scored, **parameters: Any) -> float:
        assert scored.judge is not None
        answer = await scored.judge.ask({})
        return float(answer.output)

    class Slow(FakeJudge):
        async def ask(self, question: Mapping[str, Any]) -> Any:
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(0.15, over.set)  # longer than the scorer may take
            await over.wait()
            return await super().ask(question)

    scorer = Scorer("example", asks, "score", 1, ["asks-judge"])
    use = ScorerUse.model_validate({"scorer": "example", "agent": CRITIC})
    made = ReadyScorer(use=use, scorer=scorer, parameters={}, digest="", judge=Slow(1), timeout_s=0.05)
    assert (await made.score(CASE, TRIAL, CANDIDATE)).value == 1.0


@pytest.mark.parametrize(("kind", "value"), [("assertion", False), ("score", 0.0), ("label", "run-failed")])
async def test_a_run_that_failed_is_the_worst_unasked(kind: Kind, value: Any) -> None:
    def must_not(scored: Scored) -> Any:
        raise AssertionError("it was asked")

    score = await ready(must_not, kind).score(CASE, example_failure("limit"), CANDIDATE)
    assert score.value == value
    assert "limit" in score.reason


async def test_a_measure_of_a_run_that_failed_is_its_own_or_none() -> None:
    failed = example_failure("limit", duration_ms=5.0)
    with pytest.raises(ScorerFailed, match="measures nothing"):
        await ready(lambda scored: 1.0, "measure").score(CASE, failed, CANDIDATE)
    reads = ready(lambda scored: scored.trial.duration_ms, "measure", traits=("reads-failures",))
    assert (await reads.score(CASE, failed, CANDIDATE)).value == 5.0


@pytest.mark.parametrize("code", ["model", "cancel", "replay-miss"])
async def test_a_run_that_is_no_evidence_has_no_score(code: str) -> None:
    reads = ready(lambda scored: True, "assertion", traits=("reads-failures",))
    with pytest.raises(ScorerFailed, match="no evidence"):
        await reads.score(CASE, example_failure(code), CANDIDATE)


SUITE: dict[str, Any] = {
    "datasets": ["d"],
    "scorers": [
        {"scorer": "equals", "params": {"ignoreCase": True}},
        {"scorer": "judge", "agent": CRITIC, "params": {"rubric": "Is it right?"}},
        {"scorer": "own/length", "name": "short"},
    ],
}
OWN = "def score(case, trial, *, limit: int = 3) -> bool:\n    return len(trial['output']) <= limit\n"


def suite(folder: Path, own: str = OWN, **changed: Any) -> tuple[list[ReadyScorer], EvalSpec]:
    place = folder / "evals" / "scorers"
    place.mkdir(parents=True, exist_ok=True)
    (place / "length.py").write_text(own, "utf-8")
    spec = EvalSpec.model_validate({**SUITE, **changed})
    judges: dict[str, JudgeDoor] = {CRITIC: FakeJudge({"score": 0.5})}
    return ready_scorers(load_registry(TreeSource(folder)), spec, judges), spec


async def test_a_suite_is_made_ready_and_scores(tmp_path: Path) -> None:
    made, spec = suite(tmp_path)
    assert suite_judges(spec) == [CRITIC]
    assert [(one.title, one.kind) for one in made] == [
        ("equals", "assertion"),
        ("judge", "score"),
        ("short", "assertion"),
    ]
    scores = [await one.score(example_case(expected="X"), TRIAL, CANDIDATE) for one in made]
    assert [score.value for score in scores] == [True, 0.5, True]


def test_a_digest_is_of_all_that_a_score_depends_on(tmp_path: Path) -> None:
    first, _ = suite(tmp_path)
    again, _ = suite(tmp_path)
    assert [one.digest for one in first] == [one.digest for one in again]
    assert len({one.digest for one in first}) == 3

    other_file, _ = suite(tmp_path, OWN + "# changed\n")
    assert [one.digest for one in other_file[:2]] == [one.digest for one in first[:2]]
    assert other_file[2].digest != first[2].digest

    plain, _ = suite(tmp_path, scorers=[{"scorer": "equals"}, {"scorer": "own/length", "params": {"limit": 4}}])
    named, _ = suite(
        tmp_path, scorers=[{"scorer": "equals", "name": "same", "params": {"ignoreCase": False}, "atLeast": 1}]
    )
    assert plain[0].digest == named[0].digest, "a default that is written out, a name and a limit change no score"
    assert plain[1].digest not in {one.digest for one in (*first, *other_file)}

    use = ScorerUse.model_validate(SUITE["scorers"][1])
    own = OwnFunctions(TreeSource(tmp_path))
    other_judge = FakeJudge({}, release=example_release(name="critic", model={"model": "example/other"})[0])
    assert ready_scorer(use, first[1].scorer, {CRITIC: other_judge}, own).digest != first[1].digest


async def test_calls_are_compared_by_own_code(tmp_path: Path) -> None:
    same = "def same_arguments(tool, expected, actual):\n    return expected['q'] == actual['q'].lower()\n"
    use = {"scorer": "trajectory", "params": {"arguments": "own/length"}}
    made, _ = suite(tmp_path, same, scorers=[use])
    trial = example_trial(calls=[("search", {"q": "A"})])
    case = example_case(expected=[{"name": "search", "arguments": {"q": "a"}}])
    assert (await made[0].score(case, trial, CANDIDATE)).value is True
    other, _ = suite(tmp_path, same.replace(".lower()", ""), scorers=[use])
    assert (await other[0].score(case, trial, CANDIDATE)).value is False
    assert made[0].digest != other[0].digest
    broken, _ = suite(tmp_path, "def same_arguments(tool, expected, actual):\n    return 1\n", scorers=[use])
    with pytest.raises(ScorerFailed, match="answered no bool"):
        await broken[0].score(case, trial, CANDIDATE)


async def test_a_pairwise_scorer_sees_both_trials(tmp_path: Path) -> None:
    use = ScorerUse.model_validate({"scorer": "pairwise", "agent": CRITIC, "params": {"rubric": "?"}})
    spec = EvalSpec.model_validate({"datasets": ["d"], "scorers": [use.as_document()]})
    (tmp_path / "evals").mkdir()
    critic = FakeJudge(lambda question: {"winner": "first" if question["first"] == "new" else "second"})
    made = ready_scorers(load_registry(TreeSource(tmp_path)), spec, {CRITIC: critic})[0]
    assert (await made.score(CASE, example_trial("new"), CANDIDATE, example_trial("old"))).value == 1.0
    assert (await made.score(CASE, example_failure("limit"), CANDIDATE, example_trial("old"))).value == 0.0
    with pytest.raises(ScorerFailed, match="no production"):
        await made.score(CASE, example_trial("new"), CANDIDATE)


def test_a_suite_with_faults_is_refused_with_all_of_them(tmp_path: Path) -> None:
    scorers = [{"scorer": "equal"}, {"scorer": "regex", "params": {"patern": "x"}}, {"scorer": "own/lenght"}]
    with pytest.raises(Invalid) as refused:
        suite(tmp_path, scorers=scorers)
    assert [fault.pointer for fault in refused.value.faults] == [
        "spec.scorers[0].scorer",
        "spec.scorers[1].params.patern",
        "spec.scorers[2].scorer",
    ]
    assert "did you mean 'own/length'?" in str(refused.value)


def test_a_judge_that_nobody_opened_is_refused(tmp_path: Path) -> None:
    spec = EvalSpec.model_validate({**SUITE, "scorers": SUITE["scorers"][1:2]})
    (tmp_path / "evals").mkdir()
    with pytest.raises(Invalid, match="scorer judge has no judge"):
        ready_scorers(load_registry(TreeSource(tmp_path)), spec, {})


async def test_a_judge_does_not_judge_its_own_model(tmp_path: Path) -> None:
    made, _ = suite(tmp_path)
    own = example_release(model={"model": "example/judge"})[0]
    with pytest.raises(ScorerFailed, match=r"agents/critic@1\.0\.0 and agents/clerk@1\.0\.0 both ask example/judge"):
        await made[1].score(CASE, TRIAL, own)
    allowed = {**SUITE["scorers"][1], "params": {"rubric": "?", "allowSameModel": True}}
    said_so, _ = suite(tmp_path, scorers=[allowed])
    assert (await said_so[0].score(CASE, TRIAL, own)).value == 0.5
