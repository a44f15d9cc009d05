"""A claim: the promotion or canary step that a commit of a stages file says it is, beside all that must allow it.

Each check is one sentence why not, or None. What a trailer names is looked up in the release store.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.contracts.evidence import Approval, Evidence
from penstock.contracts.pipeline import Pipeline, StageRules
from penstock.contracts.policy import Stage
from penstock.contracts.stages import StagesSpec
from penstock.errors import Refused
from penstock.gates.evidence import gates_before
from penstock.gates.gate import use_parameters
from penstock.registry.documents import Registry
from penstock.release import lifecycle
from penstock.release.approval_rules import accepted_gates, judge_approvals
from penstock.release.canary_step import LIVE_ANALYSIS, is_last, share_at, soaked_at, step_parameters
from penstock.release.clock import moment_of, stamp
from penstock.release.condition import blackout_conditions, line_conditions
from penstock.release.move import Move
from penstock.release.people import People, people_of
from penstock.release.plan import DRAIN
from penstock.store.releases import ReleaseStore

SKEW = timedelta(minutes=10)
"""How far the clocks of a promoter and of its Git may differ."""
GIT_TIME = timedelta(seconds=1)
"""Git keeps whole seconds of a commit's time."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A move from `before` to `after`, made at `made` and on the base branch since `landed`.

    `registry` and `pipeline` are those at the commit's parent, `release` is what the version was released as; `authors`
    reads who wrote the version.
    """

    move: Move
    stage: Stage
    registry: Registry
    pipeline: Pipeline
    release: str
    before: StagesSpec
    after: StagesSpec
    made: datetime
    landed: datetime
    authors: Callable[[], frozenset[str]]

    @property
    def rules(self) -> StageRules:
        """What the pipeline asks before the stage."""
        rules: StageRules = getattr(self.pipeline.spec.stages, self.stage)
        return rules

    @property
    def people(self) -> People:
        """The people around the agent; raises `Refused`."""
        owner = self.registry.agent(self.move.agent, self.move.version).owner
        return people_of(self.registry.teams, owner)


def why_not(claim: Claim, releases: ReleaseStore) -> str | None:
    """One sentence why nothing allowed the move; None when it was allowed. Raises `NotFound`, `Invalid`, `Refused`."""
    found = _another_file(claim) or _stopped(claim) or _shut(claim, releases)
    if found is not None:
        return found
    if claim.move.override:
        return _override(claim, releases)
    if claim.before.degraded is not None and claim.stage != "dev":
        return "the agent was degraded: its live runs were another model's"
    if claim.move.action == "advance":
        return _step(claim, releases)
    decisions = _decisions(claim, releases)
    return _growing(claim) or _evidence(claim, releases, decisions) or _approvals(claim, decisions)


def _another_file(claim: Claim) -> str | None:
    if _replayed(claim) != claim.after:
        return f"the file says something else than {claim.move.sentence!r}"
    selector = claim.registry.agent(claim.move.agent, claim.move.version).spec.runtime.selector
    if claim.stage == "dev" and selector is not None and claim.after.dev[-1].runtime != selector:
        return f"the file says another runtime than the agent: {selector}"
    return None


def _stopped(claim: Claim) -> str | None:
    before = claim.before
    if before.hold is not None or before.status != "active" or claim.release in before.quarantined:
        return "a hold, a quarantine or the agent's status stood against it"
    return None


def _shut(claim: Claim, releases: ReleaseStore) -> str | None:
    """A blackout when it landed, or a stop of the whole line that stands since before."""
    conditions = blackout_conditions(claim.pipeline, claim.move.agent, claim.stage, claim.landed)
    conditions += line_conditions(stop for stop in releases.line_stops() if stop.at <= stamp(claim.landed))
    return conditions[0].sentence if conditions else None


def _override(claim: Claim, releases: ReleaseStore) -> str | None:
    move = claim.move
    request = next((one for one in releases.requests() if one.digest == move.override), None)
    if request is None or not request.parameters.get("override"):
        return f"override {move.override} is not in the release store"
    claim.people.require_manager(request.who, "override")
    if (request.release, request.stage, request.action) != (claim.release, claim.stage, move.action):
        return f"override {move.override} is of another release, stage or action"
    return None


def _step(claim: Claim, releases: ReleaseStore) -> str | None:
    """A step of a canary rests on what its live sessions said at the step before."""
    move, canary = claim.move, claim.before.canary
    evidence = releases.get_evidence(move.evidence)
    if (evidence.release, evidence.stage, evidence.baseline) != (claim.release, claim.stage, _prod(claim, releases)):
        return f"evidence {move.evidence} is of another release, stage or production"
    assert canary is not None  # the file was replayed
    for result in (releases.get_result(name) for name in evidence.results):
        if result.gate == LIVE_ANALYSIS and result.parameters == step_parameters(canary):
            is_open = result.outcome == "passed" and result.origin == "released" and result.release == claim.release
            return None if is_open else f"result {result.id} does not let the canary go on"
    return f"evidence {move.evidence} says nothing of step {canary.step}"


def _growing(claim: Claim) -> str | None:
    """Why the canary may not go to prod yet, by the file alone: a step that is left, or one that has not soaked."""
    canary = claim.before.canary
    if claim.stage != "prod" or canary is None or claim.before.prod is None:
        return None
    if not is_last(claim.pipeline, canary):
        return f"the canary stood at step {canary.step} of {len(claim.pipeline.spec.canary.steps)}"
    ends = soaked_at(claim.pipeline, canary)
    if ends is not None and claim.landed + SKEW < ends:
        return f"the canary's last step soaks until {stamp(ends)}"
    return None


def _evidence(claim: Claim, releases: ReleaseStore, decisions: list[Approval]) -> str | None:
    move = claim.move
    evidence = releases.get_evidence(move.evidence)
    if (evidence.release, evidence.stage) != (claim.release, claim.stage):
        return f"evidence {move.evidence} is of another release or stage"
    prod = _prod(claim, releases)
    if evidence.baseline not in {None, prod}:
        return f"evidence {move.evidence} was judged against {evidence.baseline}, and prod serves {prod}"
    return _results(claim, releases, evidence, _accepted(claim, decisions))


def _results(claim: Claim, releases: ReleaseStore, evidence: Evidence, accepted: Container[str]) -> str | None:
    """Where prod serves nothing yet, and only there, a gate that compares may have been skipped."""
    results = [releases.get_result(name) for name in evidence.results]
    uses = [use for _, use in gates_before(claim.pipeline, evidence.stage)]
    skippable = {use.gate for use in uses if use.when_no_baseline == "skip"} if claim.before.prod is None else set()
    for result in results:
        is_open = result.outcome == "passed"
        is_open = is_open or (result.outcome == "skipped" and result.gate in skippable)
        is_open = is_open or (result.outcome == "inconclusive" and result.gate in accepted)
        if not is_open or result.origin != "released" or result.release != evidence.release:
            return f"result {result.id} of gate {result.gate} opens nothing"
    found = [(result.gate, result.parameters) for result in results]
    for use in uses:
        if (use.gate, use_parameters(use)) not in found:
            return f"gate {use.gate} is not in evidence {evidence.digest}"
    return None


def _accepted(claim: Claim, decisions: list[Approval]) -> frozenset[str]:
    """The gates that the pipeline leaves to people and that people opened."""
    left = {use.gate for _, use in gates_before(claim.pipeline, claim.stage) if use.inconclusive == "person"}
    if not left:
        return frozenset()
    opened = accepted_gates(claim.rules.approvals, claim.people, claim.authors(), decisions, claim.landed)
    return frozenset(left & opened.keys())


def _approvals(claim: Claim, decisions: list[Approval]) -> str | None:
    rules = claim.rules.approvals
    if not rules:
        return None
    unmet = judge_approvals(rules, claim.people, claim.authors(), decisions, claim.landed).unmet
    return unmet[0] if unmet else None


def _decisions(claim: Claim, releases: ReleaseStore) -> list[Approval]:
    """The decisions that the commit names, and all rejections until it landed.

    A proposal is committed before it is approved, so it names none: what was decided until it landed counts then.
    """
    named, landed = claim.move.approvals, stamp(claim.landed)
    until = stamp(claim.landed + GIT_TIME)
    return [
        one
        for one in releases.approvals(claim.move.evidence)
        if (one.digest in named if named and one.kind != "reject" else one.at <= (landed if named else until))
    ]


def _prod(claim: Claim, releases: ReleaseStore) -> str | None:
    prod = claim.before.prod
    return releases.named_release(claim.move.agent, prod.version) if prod is not None else None


def _replayed(claim: Claim) -> StagesSpec:
    """The stages that the move makes of `before`, with the times and runtimes that `after` says, if they can be."""
    move, before, after = claim.move, claim.before, claim.after
    if claim.stage == "dev":
        new = next((one for one in after.dev if one.version == move.version), None)
        if new is None:
            raise Refused(f"{move.version} is not in dev")
        return lifecycle.to_dev(before, new)
    if claim.stage == "canary":
        since = after.canary.since if after.canary is not None else ""
        _require_near(since, claim.made)
        if move.action == "promote":
            return lifecycle.to_canary(before, move.version, share_at(claim.pipeline, 1), since)
        return _advanced(claim, since)
    if before.prod is None:
        return lifecycle.to_prod(before, move.version, until="", now="")
    until = next((one.until for one in after.draining if one.version == before.prod.version), "")
    ends = moment_of(until)
    moved = stamp(ends - DRAIN) if ends is not None else ""
    _require_near(moved, claim.made)
    return lifecycle.to_prod(before, move.version, until=until, now=moved)


def _advanced(claim: Claim, since: str) -> StagesSpec:
    canary = claim.before.canary
    if canary is None or canary.version != claim.move.version or is_last(claim.pipeline, canary):
        raise Refused(f"{claim.move.version} is no canary that a step is left for")
    return lifecycle.advance(claim.before, share_at(claim.pipeline, canary.step + 1), since)


def _require_near(since: str, at: datetime) -> None:
    moment = moment_of(since)
    if moment is None or abs(moment - at) > SKEW:
        raise Refused(f"a time in the file ({since or 'none'}) is not that of the commit")
