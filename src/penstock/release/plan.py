"""The plan of one promotion: what would change and every condition in its way. Pure; `apply` alone writes."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock.contracts.evidence import Approval
from penstock.contracts.line import LineStop
from penstock.contracts.pipeline import Pipeline, StageRules
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.contracts.stages import StagesSpec
from penstock.errors import Refused
from penstock.gates.evidence import EvidenceView
from penstock.release import lifecycle
from penstock.release.approval_rules import judge_approvals
from penstock.release.blackout import Closed, closed, next_close, windows_of
from penstock.release.canary_step import share_at
from penstock.release.clock import stamp
from penstock.release.condition import (
    Condition,
    Kind,
    blackout_conditions,
    degraded_conditions,
    line_conditions,
    standing_conditions,
)
from penstock.release.people import People
from penstock.release.rollout import Rollout
from penstock.release.stages_file import stages_path, write_stages

DRAIN = timedelta(hours=24)
"""How long a replaced prod still answers the sessions that are on it."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a plan looks at, read at one moment (`now`) at one commit (`head`) of the base branch.

    `blob` is the Git id of the stages file there. `release` is None when the version does not resolve: `obstacles`
    then says why. `standing` is the release that stands where the version would go, else in prod. `rollout` is how far
    the canary is, on its way to prod. `view` has the inconclusive gates open that people accepted.
    """

    agent: str
    version: str
    stage: Stage
    head: str
    blob: str | None
    stages: StagesSpec
    pipeline: Pipeline
    people: People
    now: datetime
    release: Release | None = None
    runtime: str = ""
    standing: Release | None = None
    authors: frozenset[str] = frozenset()
    view: EvidenceView | None = None
    decisions: tuple[Approval, ...] = ()
    obstacles: tuple[str, ...] = ()
    line_stops: tuple[LineStop, ...] = ()
    rollout: Rollout | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Whether a stage takes promotions: why it is closed (None: it is open), and when it closes next, within a year."""

    closed: Closed | None
    closes_at: datetime | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a promotion would do. It may be applied once `unmet` is empty, or holds only what an override lifts."""

    situation: Situation
    after: StagesSpec | None
    approvals: tuple[Approval, ...]
    unmet: tuple[Condition, ...]
    text_diff: str
    resolved_diff: dict[str, Any] = field(hash=False)

    @property
    def acceptances(self) -> tuple[Approval, ...]:
        """The decisions that opened a gate."""
        of = self.situation
        opened = {gate.gate: gate.accepted_by for gate in of.view.gates if gate.is_accepted} if of.view else {}
        return tuple(one for one in of.decisions if one.kind == "accept" and one.who in opened.get(one.gate or "", ()))

    @property
    def ready(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.unmet

    def blocking(self, lifted: frozenset[Kind] = frozenset()) -> list[str]:
        """The sentences that stand in the way, less those of kinds that are `lifted`."""
        return [one.sentence for one in self.unmet if one.kind not in lifted]

    @property
    def window(self) -> Window:
        """Whether the stage is open for promotions at the plan's moment, and until when."""
        of = self.situation
        windows = windows_of(of.pipeline.spec.blackouts, of.agent, of.stage)
        return Window(closed(windows, of.now), next_close(windows, of.now))


def plan(situation: Situation) -> Plan:
    """The plan of the promotion that `situation` is about."""
    after, place = _after(situation)
    rules: StageRules = getattr(situation.pipeline.spec.stages, situation.stage)
    verdict = judge_approvals(rules.approvals, situation.people, situation.authors, situation.decisions, situation.now)
    unmet = [Condition("obstacle", sentence) for sentence in situation.obstacles]
    unmet += [Condition("place", sentence) for sentence in place]
    unmet += standing_conditions(situation.agent, situation.stages, situation.release)
    unmet += degraded_conditions(situation.agent, situation.stages, situation.stage)
    unmet += line_conditions(situation.line_stops)
    unmet += blackout_conditions(situation.pipeline, situation.agent, situation.stage, situation.now)
    unmet += [Condition("canary", sentence) for sentence in _canary_sentences(situation)]
    unmet += [Condition("gate", sentence) for sentence in _gate_sentences(situation)]
    unmet += [Condition("approval", sentence) for sentence in verdict.unmet]
    before = write_stages(situation.agent, situation.stages)
    then = write_stages(situation.agent, after) if after is not None else before
    return Plan(
        situation,
        after,
        verdict.counted,
        tuple(unmet),
        _text_diff(situation.agent, before, then),
        resolved_diff(situation.standing, situation.release),
    )


def move_after(
    spec: StagesSpec, stage: Stage, version: str, pipeline: Pipeline, at: datetime, runtime: str
) -> StagesSpec:
    """The stages after a promotion of `version` to `stage` at `at`; raises `Refused` for a move that is none.

    `runtime` is taken where the version has none yet: on its way to dev.
    """
    if stage == "dev":
        return lifecycle.to_dev(spec, lifecycle.standing(version, runtime))
    if stage == "canary":
        return lifecycle.to_canary(spec, version, share_at(pipeline, 1), stamp(at))
    return lifecycle.to_prod(spec, version, until=stamp(at + DRAIN), now=stamp(at) if spec.prod is not None else "")


def traffic(spec: StagesSpec) -> dict[str, str]:
    """Which share of requests meets which version: place -> version and share."""
    shares: dict[str, str] = {}
    if spec.status != "active":
        return {"status": f"{spec.status}: no new run"}
    canary, prod = spec.canary, spec.prod
    weight = canary.weight_bp / 100 if canary is not None and prod is not None else 0.0
    if prod is not None:
        shares["prod"] = f"{prod.version} {100 - weight:g} %"
    if canary is not None:
        share = f"{canary.version} {weight:g} %" if prod is not None else f"{canary.version} on request only"
        allowed = [*canary.allow.tenants, *canary.allow.users, *canary.allow.sessions]
        shares["canary"] = f"{share} and {', '.join(allowed)}" if allowed else share
    if spec.dev:
        shares["dev"] = f"{', '.join(one.version for one in spec.dev)} on request only"
    return shares


def resolved_diff(before: Release | None, after: Release | None) -> dict[str, Any]:
    """What differs between two releases, as deepdiff says it; empty when there is nothing to compare with."""
    if before is None or after is None or before.digest == after.digest:
        return {}
    import orjson
    from deepdiff import DeepDiff

    # A stored release reads 0 where the written one says 0.0: the same number, and the same digest.
    found = DeepDiff(before.as_document(), after.as_document(), ignore_numeric_type_changes=True, verbose_level=2)
    document: dict[str, Any] = orjson.loads(found.to_json())
    return document


def _after(situation: Situation) -> tuple[StagesSpec | None, list[str]]:
    try:
        after = move_after(
            situation.stages,
            situation.stage,
            situation.version,
            situation.pipeline,
            situation.now,
            situation.runtime,
        )
    except Refused as error:
        return None, [error.what]
    return after, []


def _canary_sentences(situation: Situation) -> Sequence[str]:
    """What a canary still has to go through; a first version has no prod to share with, so no step to grow by."""
    rollout = situation.rollout
    return rollout.unmet if situation.stage == "prod" and rollout is not None else ()


def _gate_sentences(situation: Situation) -> Sequence[str]:
    if situation.view is None:
        return ["there is no evidence: no gate can run on what does not resolve"]
    return situation.view.unmet


def _text_diff(agent: str, before: bytes, after: bytes) -> str:
    path = stages_path(agent)
    lines = [part.decode().splitlines(keepends=True) for part in (before, after)]
    return "".join(difflib.unified_diff(lines[0], lines[1], f"a/{path}", f"b/{path}", n=1))
