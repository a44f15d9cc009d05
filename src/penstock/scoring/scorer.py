"""A scorer: one function in one file, registered by name; it looks at one trial and returns what it saw.

Its keyword-only parameters are exactly the keys that a suite may set (camelCase there, snake_case here).
"""

import functools
import importlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Case
from penstock.contracts.release import Release
from penstock.errors import NotFound, PenstockError
from penstock.parameters import parameter_model
from penstock.plugins import Plugins
from penstock.scoring.trial import Trial

Kind = Literal["assertion", "score", "label", "measure"]
Trait = Literal["asks-judge", "reads-failures", "reads-expected", "pairwise"]
Value = bool | float | str


class ScorerFailed(PenstockError):
    """A scorer gave no usable value: it raised, hung, returned NaN, or lacks what it reads. Never a score."""

    slug = "scorer-failed"


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer saw; `reason` is one sentence, `details` JSON for the report; `cost_usd` of asking a judge."""

    value: Value
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class JudgeAnswer:
    """What a judge said: its output, what it cost (None = unknown), its run, and the model that it asked."""

    output: Any
    cost_usd: float | None
    run_id: str
    model: str


class JudgeDoor(Protocol):
    """The only way of a scorer to a judge: an agent that runs on the engine as every other one."""

    @property
    def release(self) -> Release:
        """The judge's release: its digest is part of what was measured."""
        ...

    async def ask(self, question: Mapping[str, Any]) -> JudgeAnswer:
        """The judge's answer; raises `ScorerFailed` when its run did not finish."""
        ...


class OwnCode(Protocol):
    """The only way of a scorer to functions in `evals/scorers/`: they run in a process of their own."""

    async def call(self, file: str, function: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """What `function` of own/<file> returns for each list of arguments; raises `ScorerFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """What a scorer may look at; `against` is production's trial of the same case and repeat, for a pairwise scorer."""

    case: Case
    trial: Trial
    release: Release
    judge: JudgeDoor | None = None
    against: Trial | None = None
    own: OwnCode | None = None


Returned = Value | Score


class ScorerFunction(Protocol):
    """A scorer's judgement; keyword-only parameters come from the suite. It may be a coroutine function."""

    def __call__(self, scored: Scored, **parameters: Any) -> Returned | Awaitable[Returned]:
        """What it saw of a trial; raises when it cannot say."""
        ...


class Scorer:
    """A registered scorer.

    assertion = bool; score = a number from 0 to 1, more is better; label = a word, counted and never judged;
    measure = a positive number, less is better (cost, latency), compared by ratio. `revision` grows when it judges
    differently. Traits: asks-judge = it needs the suite's `agent`; reads-failures = it is asked about
    runs that failed by their own doing too, which otherwise are False or 0; reads-expected = it needs the case's
    `expected` unless a parameter stands in for it; pairwise = it compares a trial with production's and says how much
    better it is: 1 better, 0.5 equal, 0 worse.
    """

    def __init__(
        self, name: str, function: ScorerFunction, kind: Kind, revision: int, traits: Collection[Trait]
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = name
        self.function = function
        self.kind: Kind = kind
        self.revision = revision
        self.asks_judge = "asks-judge" in traits
        self.reads_failures = "reads-failures" in traits
        self.reads_expected = "reads-expected" in traits
        self.is_pairwise = "pairwise" in traits
        self.parameters = parameter_model(name, function)

    def identity(self, parameters: Mapping[str, Any]) -> str:
        """The digest under which scores are kept, less the judge's release."""
        return digest({"scorer": self.name, "revision": self.revision, "parameters": dict(parameters)})

    def __call__(self, scored: Scored, **parameters: Any) -> Returned | Awaitable[Returned]:
        """The scorer's own answer, unchecked."""
        return self.function(scored, **parameters)


SCORERS: Plugins[Scorer] = Plugins("scorer", "penstock.scorers")
BUILT_IN = {
    "equals": "penstock.scoring.scorers.equals",
    "contains": "penstock.scoring.scorers.contains",
    "regex": "penstock.scoring.scorers.regex",
    "numeric": "penstock.scoring.scorers.numeric",
    "json-schema": "penstock.scoring.scorers.json_schema",
    "fields": "penstock.scoring.scorers.fields",
    "similarity": "penstock.scoring.scorers.similarity",
    "embedding": "penstock.scoring.scorers.embedding",
    "trajectory": "penstock.scoring.scorers.trajectory",
    "tool-success": "penstock.scoring.scorers.tool_success",
    "policy": "penstock.scoring.scorers.policy",
    "finished": "penstock.scoring.scorers.finished",
    "cost": "penstock.scoring.scorers.cost",
    "latency": "penstock.scoring.scorers.latency",
    "tokens": "penstock.scoring.scorers.tokens",
    "judge": "penstock.scoring.scorers.judge",
    "pairwise": "penstock.scoring.scorers.pairwise",
    "hallucination": "penstock.scoring.scorers.hallucination",
}


def scorer(
    name: str, *, kind: Kind, revision: int, traits: Collection[Trait] = ()
) -> Callable[[Callable[..., Any]], Scorer]:
    """Decorator: registers a function `(scored, *, parameters...)` as the scorer `name`."""

    def register(function: Callable[..., Any]) -> Scorer:
        return SCORERS.register(name)(Scorer(name, cast(ScorerFunction, function), kind, revision, traits))

    return register


def find_scorer(name: str) -> Scorer:
    """The scorer of that name, imported when it is asked for; raises `NotFound` with the names known."""
    if name in BUILT_IN:
        importlib.import_module(BUILT_IN[name])
    try:
        return SCORERS.get(name)
    except NotFound:
        known = sorted({*BUILT_IN, *SCORERS})
        raise NotFound(f"no scorer {name!r}", where="evals/", now=f"known scorers: {', '.join(known)}") from None
