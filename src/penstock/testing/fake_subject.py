"""FakeSubject: what an evaluation measures, without a model: it answers from a function, counts, and can be held."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Case
from penstock.scoring.case_set import EvalCase
from penstock.scoring.trial import Trial, TrialKey
from penstock.store.clock import now

Answering = Callable[[EvalCase, int], Any | Awaitable[Any]]


def eval_cases(count: int, **fields: Any) -> list[EvalCase]:
    """Cases `fake/0`, `fake/1`, ... whose input is their number as text; `fields` are all cases' own."""
    written = [{"id": str(i), "input": str(i), **fields} for i in range(count)]
    return [EvalCase("fake", Case.model_validate(one), digest(one)) for one in written]


def fake_trial(key: TrialKey, output: Any = "said", **fields: Any) -> Trial:
    """A finished trial of one model call, 15 tokens and 0.01 USD; `fields` override its own."""
    trial = Trial(
        key=key,
        run_id=f"run-{key.case[-12:]}-{key.repeat}",
        runtime="fake",
        status="finished",
        output=output,
        failure=None,
        prompt_tokens=10,
        completion_tokens=5,
        cost_usd=0.01,
        model_calls=1,
        duration_ms=1.0,
        at=now(),
    )
    return replace(trial, **fields)


def failed_trial(key: TrialKey, code: str, what: str = "it went wrong", **fields: Any) -> Trial:
    """A trial whose run failed with that code."""
    failure = {"code": code, "what": what, "where": "fake", "now": ""}
    return fake_trial(key, None, status="failed", failure=failure, **fields)


class FakeSubject:
    """Answers each case by `answering(case, repeat)`: an output, a `Trial`, or an error to raise.

    `asked` lists (case id, repeat) in the order in which runs began; `most` is how many were in flight at once.
    """

    def __init__(
        self, answering: Answering | None = None, *, release: str = "sha256:fake", model: str = "fake"
    ) -> None:
        self.title = "fake@1.0.0"
        self.model = model
        self.asked: list[tuple[str, int]] = []
        self.in_flight = self.most = 0
        self.cancelled = 0
        self._answering = answering or (lambda case, repeat: f"said {case.case.id}")
        self._release = release

    def key(self, case: EvalCase, repeat: int) -> TrialKey:
        """By release, case and repeat."""
        return TrialKey(self._release, case.digest, repeat, "fake")

    async def run(self, case: EvalCase, repeat: int) -> Trial:
        """The next answer."""
        self.asked.append((case.id, repeat))
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(0)
            answer = self._answering(case, repeat)
            answer = await answer if inspect.isawaitable(answer) else answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Trial) else fake_trial(self.key(case, repeat), answer)
