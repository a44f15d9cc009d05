"""A trial in memory, and a judge that answers as it is told: for tests of scorers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Case
from penstock.contracts.release import Release
from penstock.scoring.scorer import JudgeAnswer, OwnCode, Scored
from penstock.scoring.trial import ToolCall, Trial, TrialKey
from penstock.testing.example_release import example_release

CANDIDATE = example_release(model={"model": "example/candidate"})[0]
JUDGE = example_release(name="critic", model={"model": "example/judge"})[0]

Answer = Any
Told = Answer | Callable[[Mapping[str, Any]], Answer]


class FakeJudge:
    """A judge's door that answers what it is told, or what a function makes of the question; keeps all questions."""

    def __init__(self, answer: Told, *, cost_usd: float | None = 0.001, release: Release = JUDGE) -> None:
        self.release = release
        self.questions: list[Mapping[str, Any]] = []
        self._answer = answer
        self._cost_usd = cost_usd

    async def ask(self, question: Mapping[str, Any]) -> JudgeAnswer:
        """The answer; an exception among the answers is raised."""
        self.questions.append(question)
        said = self._answer(question) if callable(self._answer) else self._answer
        if isinstance(said, Exception):
            raise said
        return JudgeAnswer(said, self._cost_usd, f"run-{len(self.questions)}", "example/judge")


def example_case(**fields: Any) -> Case:
    """A case with these fields."""
    return Case.model_validate({"id": "one", "input": "a question", **fields})


def example_trial(output: Any = None, *, calls: Sequence[ToolCall | tuple[str, Any]] = (), **fields: Any) -> Trial:
    """A trial of `CANDIDATE` that finished with this output; `calls` are calls, or names with arguments."""
    key = TrialKey(CANDIDATE.digest, digest("one"), 0, digest({}))
    made = tuple(call if isinstance(call, ToolCall) else ToolCall(*call, {"ok": True}) for call in calls)
    plain = {"run_id": "run", "runtime": "direct", "status": "finished", "failure": None, "calls": made}
    return Trial(**{"key": key, "output": output, **plain, **fields})


def example_failure(code: str = "limit", **fields: Any) -> Trial:
    """A trial that failed with this code."""
    failure = {"code": code, "what": "it took too long", "where": "", "now": ""}
    return example_trial(None, status="failed", failure=failure, **fields)


def example_scored(
    output: Any = None,
    *,
    judge: FakeJudge | None = None,
    trial: Trial | None = None,
    against: Trial | None = None,
    own: OwnCode | None = None,
    **case: Any,
) -> Scored:
    """What a scorer looks at: a trial with this output (or `trial`), on a case with the other fields."""
    return Scored(example_case(**case), trial or example_trial(output), CANDIDATE, judge, against, own)
