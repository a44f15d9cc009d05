"""The scorers of a suite, made ready: checked parameters, judges, own code, and values that are what they should be."""

import asyncio
import inspect
import math
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from penstock.contracts.canonical import canonical, digest
from penstock.contracts.dataset import Case
from penstock.contracts.eval_suite import EvalSpec, ScorerUse
from penstock.contracts.release import Release
from penstock.errors import Invalid, PenstockError, Unavailable
from penstock.registry.documents import Registry
from penstock.scoring.own_scorer import OwnFunctions, named_scorer, own_slot
from penstock.scoring.scorer import JudgeAnswer, JudgeDoor, Kind, Returned, Score, Scored, Scorer, ScorerFailed
from penstock.scoring.scorers.own_file import OWN_PREFIX, named_files
from penstock.scoring.suite_faults import use_faults
from penstock.scoring.trial import Trial

TIMEOUT_S = 60.0
"""Seconds that a scorer may take for one trial; waiting for a judge, whose runs have limits of their own, apart."""
FAILED_LABEL = "run-failed"
REASON_LENGTH = 2_000
LABEL_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyScorer:
    """A scorer with its parameters (Python names), its judge, and the digest of all that its scores depend on.

    `own_files` are the digests of the files of `evals/scorers/` that it runs.
    """

    use: ScorerUse
    scorer: Scorer
    parameters: Mapping[str, Any]
    digest: str
    judge: JudgeDoor | None = None
    own: OwnFunctions | None = None
    own_files: tuple[str, ...] = ()
    timeout_s: float = TIMEOUT_S

    @property
    def title(self) -> str:
        """What reports call it."""
        return self.use.title

    @property
    def kind(self) -> Kind:
        """What its values are."""
        return self.scorer.kind

    async def score(self, case: Case, trial: Trial, release: Release, against: Trial | None = None) -> Score:
        """What the scorer saw of a trial.

        A run that failed by its own doing is False, 0 or `run-failed` unasked, unless the scorer reads failures. Raises
        `ScorerFailed` when there is no usable value, and `Unavailable` when there can be none for any trial.
        """
        if not trial.is_evidence:
            raise self._failed(case, "the run is no evidence")
        if not trial.finished and not self.scorer.reads_failures:
            return self._of_failed_run(case, trial)
        self._require_other_model(case, release)
        door = _PatientDoor(self.judge) if self.judge is not None else None
        scored = Scored(case, trial, release, door, against, self.own)
        async with AsyncExitStack() as slots:
            for file in self.own_files:
                await slots.enter_async_context(own_slot(file))
            return self._checked(case, await self._asked(case, scored, door))

    async def _asked(self, case: Case, scored: Scored, door: "_PatientDoor | None") -> Returned:
        """The scorer's own answer within its time; raises `ScorerFailed` or `Unavailable`."""
        try:
            async with asyncio.timeout(self.timeout_s) as timer:
                if door is not None:
                    door.timer = timer
                return await _returned(self.scorer, scored, self.parameters)
        except TimeoutError as error:
            if timer.expired():
                what = f"did not answer within {self.timeout_s:g} s"
                raise self._failed(case, what, "make it quicker, or see what it waits for") from None
            raise self._failed(case, f"raised {type(error).__name__}: {error}") from error
        except Unavailable:
            raise
        except PenstockError as error:
            raise self._failed(case, error.what, error.now) from error
        except Exception as error:
            raise self._failed(case, f"raised {type(error).__name__}: {error}") from error

    def _of_failed_run(self, case: Case, trial: Trial) -> Score:
        values: dict[Kind, Any] = {"assertion": False, "score": 0.0, "label": FAILED_LABEL}
        failure = trial.failure or {}
        reason = f"the run failed: {failure.get('code', trial.status)}: {failure.get('what', '')}"
        if self.kind not in values:
            raise self._failed(case, f"measures nothing of a run that failed ({reason})")
        return Score(values[self.kind], reason[:REASON_LENGTH])

    def _require_other_model(self, case: Case, release: Release) -> None:
        """A judge prefers its own words: it and the candidate must not ask one model unless the suite says so."""
        if self.judge is None or self.parameters.get("allow_same_model") is True:
            return
        shared = _models(self.judge.release) & _models(release)
        if shared:
            both = f"{self.judge.release.agent.ref} and {release.agent.ref} both ask {', '.join(sorted(shared))}"
            raise self._failed(case, both, "pin another model for the judge, or set allowSameModel: true")

    def _checked(self, case: Case, returned: Returned) -> Score:
        """The score with a value of its kind; raises `ScorerFailed`."""
        score = returned if isinstance(returned, Score) else Score(returned)
        fault = _value_fault(self.kind, score.value)
        if fault is None and not (_is_finite(score.cost_usd) and score.cost_usd >= 0):
            fault = f"says that asking cost {score.cost_usd!r} USD"
        if fault is not None:
            raise self._failed(case, fault)
        try:
            details = dict(score.details)
            canonical(details)
        except (TypeError, ValueError) as error:
            raise self._failed(case, f"its details are no JSON: {error}") from None
        value = score.value if self.kind in ("assertion", "label") else float(score.value)
        return Score(value, str(score.reason)[:REASON_LENGTH], details, float(score.cost_usd))

    def _failed(self, case: Case, what: str, now: str = "") -> ScorerFailed:
        return ScorerFailed(f"scorer {self.title} on case {case.id}: {what}", where=self.use.scorer, now=now)


def suite_judges(spec: EvalSpec) -> list[str]:
    """The references of all judges of a suite, sorted."""
    return sorted({use.agent for use in spec.scorers if use.agent is not None})


def ready_scorers(registry: Registry, spec: EvalSpec, judges: Mapping[str, JudgeDoor]) -> list[ReadyScorer]:
    """The suite's scorers in its order; `judges` by reference, as `suite_judges` names them.

    Raises `Invalid` with every fault of the suite's scorers.
    """
    faults = [
        fault
        for index, use in enumerate(spec.scorers)
        for fault in use_faults(registry.source, use, ("spec", "scorers", index), "evals/")
    ]
    if faults:
        raise Invalid("the suite's scorers cannot run", where="evals/", now="mend the suite", faults=faults)
    own = OwnFunctions(registry.source)
    return [ready_scorer(use, named_scorer(registry.source, use.scorer), judges, own) for use in spec.scorers]


def ready_scorer(
    use: ScorerUse, scorer: Scorer, judges: Mapping[str, JudgeDoor], own: OwnFunctions, timeout_s: float = TIMEOUT_S
) -> ReadyScorer:
    """One use whose faults were looked for; raises `Invalid` where its judge is not among `judges`."""
    parameters = scorer.parameters.model_validate(use.params)
    judge = judges.get(use.agent) if use.agent is not None else None
    if scorer.asks_judge and judge is None:
        raise Invalid(f"scorer {use.title} has no judge", where="evals/", now="name it by `agent`")
    files = {name: own.file(name).digest for name in named_files(parameters)}
    if use.scorer.startswith(OWN_PREFIX):
        name = use.scorer.removeprefix(OWN_PREFIX)
        files[name] = own.file(name).digest
    set_only = use.scorer.startswith(OWN_PREFIX)
    identity = scorer.identity(parameters.model_dump(mode="json", by_alias=True, exclude_unset=set_only))
    return ReadyScorer(
        use=use,
        scorer=scorer,
        parameters={name: getattr(parameters, name) for name in type(parameters).model_fields},
        digest=digest({"scorer": identity, "own": files, "judge": judge.release.digest if judge else None}),
        judge=judge,
        own=own,
        own_files=tuple(sorted(set(files.values()))),
        timeout_s=timeout_s,
    )


class _PatientDoor:
    """A judge's door that stops the scorer's clock while the judge is asked."""

    def __init__(self, door: JudgeDoor) -> None:
        self.timer: asyncio.Timeout | None = None
        self._door = door
        self._asked = 0
        self._left_s = 0.0

    @property
    def release(self) -> Release:
        """The judge's release."""
        return self._door.release

    async def ask(self, question: Mapping[str, Any]) -> JudgeAnswer:
        """The judge's answer; raises `ScorerFailed` when its run did not finish."""
        clock = asyncio.get_running_loop().time
        timer = self.timer
        if timer is not None and self._asked == 0:
            self._left_s = (timer.when() or clock()) - clock()
            timer.reschedule(None)
        self._asked += 1
        try:
            return await self._door.ask(question)
        finally:
            self._asked -= 1
            if timer is not None and self._asked == 0 and not timer.expired():
                with suppress(RuntimeError):  # the scorer is over
                    timer.reschedule(clock() + self._left_s)


async def _returned(scorer: Scorer, scored: Scored, parameters: Mapping[str, Any]) -> Returned:
    """The scorer's own answer. A plain function of another package runs in a thread: it may hang."""
    function = scorer.function
    if inspect.iscoroutinefunction(function) or str(function.__module__).startswith("penstock."):
        answer = scorer(scored, **parameters)
    else:
        answer = await _in_thread(lambda: scorer(scored, **parameters))
    return await answer if inspect.isawaitable(answer) else answer


async def _in_thread(function: Callable[[], Returned | Awaitable[Returned]]) -> Returned | Awaitable[Returned]:
    """Runs it in a thread of its own that nobody waits for at the end: one that hangs is left behind."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error is not None else future.set_result(result)

    def run() -> None:
        result, problem = None, None
        try:
            result = function()
        except Exception as error:
            problem = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, name="penstock-scorer", daemon=True).start()
    return await future  # type: ignore[no-any-return]


def _value_fault(kind: Kind, value: Any) -> str | None:
    if kind == "assertion":
        return None if isinstance(value, bool) else f"returned {value!r}, not true or false"
    if kind == "label":
        fits = isinstance(value, str) and 0 < len(value) <= LABEL_LENGTH
        return None if fits else f"returned {value!r:.200}, not a word of at most {LABEL_LENGTH} characters"
    if not _is_finite(value):
        return f"returned {value!r:.200}, not a number"
    if kind == "score" and not 0 <= value <= 1:
        return f"returned {value!r}, not a number from 0 to 1"
    return f"returned {value!r}, less than 0" if value < 0 else None


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _models(release: Release) -> set[str]:
    return {str(model.document["spec"]["model"]) for model in release.models}
