"""The plan of one promotion: what would change and every condition in its way. Pure; `apply` alone writes."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from penstock.contracts.evidence import Approval
from penstock.contracts.pipeline import Pipeline, StageRules
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.contracts.stages import StagesSpec
from penstock.errors import Refused
from penstock.gates.evidence import EvidenceView
from penstock.release import lifecycle
from penstock.release.approval_rules import judge_approvals
from penstock.release.clock import stamp
from penstock.release.people import People
from penstock.release.stages_file import stages_path, write_stages

DRAIN = timedelta(hours=24)
"""How long a replaced prod still answers the sessions that are on it."""

Kind = Literal["obstacle", "place", "status", "hold", "quarantine", "gate", "approval"]
OVERRIDABLE: frozenset[Kind] = frozenset({"gate", "approval"})


@dataclass(frozen=True, slots=True)
class Condition:
    """One unmet condition in one sentence; an override lifts only gates and approvals."""

    kind: Kind
    sentence: str


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a plan looks at, read at one moment (`now`) at one commit (`head`) of the base branch.

    `blob` is the Git id of the stages file there. `release` is None when the version does not resolve: `obstacles`
    then says why. `standing` is the release that stands where the version would go, else in prod.
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
    def ready(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.unmet

    def blocking(self, *, override: bool) -> list[str]:
        """The sentences that stand in the way, with or without an override."""
        return [one.sentence for one in self.unmet if not (override and one.kind in OVERRIDABLE)]

    def as_document(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        of = self.situation
        return {
            "agent": of.agent,
            "version": of.version,
            "to": of.stage,
            "from": lifecycle.place_of(of.stages, of.version),
            "release": of.release.digest if of.release is not None else None,
            "commit": of.head,
            "ready": self.ready,
            "unmet": [{"kind": one.kind, "what": one.sentence} for one in self.unmet],
            "evidence": _evidence_document(of.view),
            "approvals": [one.as_document() for one in self.approvals],
            "diff": {"stages": self.text_diff, "resolved": self.resolved_diff},
            "traffic": {
                "before": traffic(of.stages),
                "after": traffic(self.after) if self.after is not None else None,
            },
        }


def plan(situation: Situation) -> Plan:
    """The plan of the promotion that `situation` is about."""
    after, place = _after(situation)
    rules: StageRules = getattr(situation.pipeline.spec.stages, situation.stage)
    verdict = judge_approvals(rules.approvals, situation.people, situation.authors, situation.decisions, situation.now)
    unmet = [Condition("obstacle", sentence) for sentence in situation.obstacles]
    unmet += [Condition("place", sentence) for sentence in place]
    unmet += _standing_conditions(situation)
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
        weight = round(pipeline.spec.canary.steps[0].percent * 100)
        return lifecycle.to_canary(spec, version, step=1, weight_bp=weight, since=stamp(at))
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
        shares["canary"] = f"{canary.version} {weight:g} %" if prod is not None else f"{canary.version} on request only"
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


def _standing_conditions(situation: Situation) -> list[Condition]:
    stages, unmet = situation.stages, []
    if stages.status != "active":
        unmet.append(
            Condition("status", f"{situation.agent} is {stages.status}: `agentctl thaw {situation.agent}` first")
        )
    if stages.hold is not None:
        held = f"held by {stages.hold.by} since {stages.hold.since}: {stages.hold.reason}"
        unmet.append(Condition("hold", f"{held}; `agentctl unhold {situation.agent}` lifts it"))
    release = situation.release
    if release is not None and release.digest in stages.quarantined:
        lift = f"`agentctl unquarantine {release.digest} --reason TEXT` lifts it"
        unmet.append(Condition("quarantine", f"release {release.digest} is quarantined; {lift}"))
    return unmet


def _gate_sentences(situation: Situation) -> Sequence[str]:
    if situation.view is None:
        return ["there is no evidence: no gate can run on what does not resolve"]
    return situation.view.unmet


def _text_diff(agent: str, before: bytes, after: bytes) -> str:
    path = stages_path(agent)
    lines = [part.decode().splitlines(keepends=True) for part in (before, after)]
    return "".join(difflib.unified_diff(lines[0], lines[1], f"a/{path}", f"b/{path}", n=1))


def _evidence_document(view: EvidenceView | None) -> dict[str, Any] | None:
    if view is None:
        return None
    return {
        "evidence": view.digest,
        "verdict": view.verdict,
        "why": view.sentence,
        "draft": view.draft,
        "gates": [
            {"gate": gate.gate, "stage": gate.stage, "verdict": gate.verdict, "why": gate.reason} for gate in view.gates
        ],
        "missing": view.missing,
    }
