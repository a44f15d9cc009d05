"""Whether a commit of a stages file was allowed: its trailers must resolve against the state at its parent.

What a trailer names lies in the release store, which a push to Git cannot write. So a forged commit is never
published: neither its evidence nor its approvals, override or urgent change can be made up in Git.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from penstock.contracts.evidence import Approval, Evidence, Request
from penstock.contracts.pipeline import Pipeline, StageRules
from penstock.contracts.routing_table import OverlayEntry, RoutingTable
from penstock.contracts.stages import StagesSpec
from penstock.errors import Invalid, NotFound, Refused, WrongUse
from penstock.gates.evidence import gates_before
from penstock.gates.gate import use_parameters
from penstock.registry.commit import Commit
from penstock.registry.documents import Registry
from penstock.release import lifecycle
from penstock.release.approval_rules import judge_approvals
from penstock.release.clock import moment_of, stamp
from penstock.release.move import Move
from penstock.release.overlaid import overlaid
from penstock.release.people import people_of
from penstock.release.plan import DRAIN
from penstock.release.workspace import Workspace

SKEW = timedelta(minutes=10)
"""How far the clocks of a promoter and of its Git may differ."""


class Judge:
    """Judges commits of stages files by the release store and by the registry at each commit's parent.

    `table` is the one in force: urgent changes are looked for in its overlay first, then in earlier generations.
    """

    def __init__(self, workspace: Workspace, table: RoutingTable | None) -> None:
        self.workspace = workspace
        self.releases = workspace.releases
        self.table = table

    def why_not(self, agent: str, commit: Commit, before: StagesSpec, after: StagesSpec) -> str | None:
        """One sentence why this commit does not resolve; None when it does. Raises `Unavailable`."""
        move = Move.of(commit, agent)
        if move is None:
            return "it has no Penstock-Action trailer for this agent"
        try:
            if move.overlay:
                return self._urgent(move, before, after)
            if move.action == "promote" and move.version and move.stage is not None and commit.parents:
                return self._promotion(move, commit, before, after)
        except (NotFound, Invalid, Refused, WrongUse) as error:
            return error.what
        return f"its trailers do not say what allows {move.sentence!r}"

    def find_overlay(self, agent: str, entry_id: str) -> OverlayEntry | None:
        """An urgent change by its id, from the table in force or an earlier one; None if there never was one."""
        table = self.table
        while table is not None:
            found = next((one for one in table.overlay.get(agent, ()) if one.id == entry_id), None)
            if found is not None:
                return found
            table = self._earlier(table)
        return None

    def _earlier(self, table: RoutingTable) -> RoutingTable | None:
        generation = table.source.previous_generation
        return self.releases.table(generation) if generation is not None else None

    def _urgent(self, move: Move, before: StagesSpec, after: StagesSpec) -> str | None:
        entry = self.find_overlay(move.agent, move.overlay)
        if entry is None:
            return f"overlay {move.overlay} was never in a routing table"
        if overlaid(before, entry) != after:
            return f"the file says something else than overlay {move.overlay}"
        return None

    def _promotion(self, move: Move, commit: Commit, before: StagesSpec, after: StagesSpec) -> str | None:
        assert move.stage is not None
        registry = self.workspace.registry_of(commit.parents[0], move.agent)
        pipeline = registry.pipeline
        release = self.releases.named_release(move.agent, move.version)
        moment = moment_of(commit.time)
        if pipeline is None or release is None or moment is None:
            return f"{move.agent}@{move.version} was not released, or there was no pipeline"
        selector = registry.agent(move.agent, move.version).spec.runtime.selector
        if _replayed(before, after, move, pipeline, moment) != after:
            return f"the file says something else than {move.sentence!r}"
        if move.stage == "dev" and selector is not None and after.dev[-1].runtime != selector:
            return f"the file says another runtime than the agent: {selector}"
        if before.hold is not None or before.status != "active" or release in before.quarantined:
            return "a hold, a quarantine or the agent's status stood against it"
        if move.override:
            return self._override(move, registry, release)
        return self._evidence(move, pipeline, before, release) or self._approvals(move, registry, pipeline, commit)

    def _override(self, move: Move, registry: Registry, release: str) -> str | None:
        request = find_request(self.releases.requests(), move.override)
        if request is None or not request.parameters.get("override"):
            return f"override {move.override} is not in the release store"
        owner = registry.agent(move.agent, move.version).owner
        people_of(registry.teams, owner).require_manager(request.who, "override")
        if (request.release, request.stage) != (release, move.stage):
            return f"override {move.override} is of another release or stage"
        return None

    def _evidence(self, move: Move, pipeline: Pipeline, before: StagesSpec, release: str) -> str | None:
        assert move.stage is not None
        evidence = self.releases.get_evidence(move.evidence)
        if (evidence.release, evidence.stage) != (release, move.stage):
            return f"evidence {move.evidence} is of another release or stage"
        prod = self.releases.named_release(move.agent, before.prod.version) if before.prod is not None else None
        if evidence.baseline not in {None, prod}:
            return f"evidence {move.evidence} was judged against {evidence.baseline}, and prod serves {prod}"
        return self._results(evidence, pipeline, first=prod is None)

    def _results(self, evidence: Evidence, pipeline: Pipeline, *, first: bool) -> str | None:
        """`first` = prod serves nothing yet: only then may a gate that compares have been skipped."""
        results = [self.releases.get_result(name) for name in evidence.results]
        uses = [use for _, use in gates_before(pipeline, evidence.stage)]
        skippable = {use.gate for use in uses if use.when_no_baseline == "skip"} if first else set()
        for result in results:
            is_open = result.outcome == "passed" or (result.outcome == "skipped" and result.gate in skippable)
            if not is_open or result.origin != "released" or result.release != evidence.release:
                return f"result {result.id} of gate {result.gate} opens nothing"
        found = [(result.gate, result.parameters) for result in results]
        for use in uses:
            if (use.gate, use_parameters(use)) not in found:
                return f"gate {use.gate} is not in evidence {evidence.digest}"
        return None

    def _approvals(self, move: Move, registry: Registry, pipeline: Pipeline, commit: Commit) -> str | None:
        rules: StageRules = getattr(pipeline.spec.stages, move.stage or "")
        if not rules.approvals:
            return None
        people = people_of(registry.teams, registry.agent(move.agent, move.version).owner)
        authors = self.workspace.authors(registry, move.agent, move.version)
        decisions = [
            one
            for one in self.releases.approvals(move.evidence)
            if one.digest in move.approvals or _rejects(one, commit)
        ]
        moment = moment_of(commit.time)
        assert moment is not None
        unmet = judge_approvals(rules.approvals, people, authors, decisions, moment).unmet
        return unmet[0] if unmet else None


def find_request(requests: Iterable[Request], digest: str) -> Request | None:
    """The request of that digest."""
    return next((request for request in requests if request.digest == digest), None)


def _rejects(decision: Approval, commit: Commit) -> bool:
    return decision.kind == "reject" and decision.at <= commit.time


def _replayed(before: StagesSpec, after: StagesSpec, move: Move, pipeline: Pipeline, at: datetime) -> StagesSpec:
    """The stages that the move makes of `before`, with the times and runtimes that `after` says, if they can be."""
    if move.stage == "dev":
        new = next((one for one in after.dev if one.version == move.version), None)
        if new is None:
            raise Refused(f"{move.version} is not in dev")
        return lifecycle.to_dev(before, new)
    if move.stage == "canary":
        since = after.canary.since if after.canary is not None else ""
        _require_near(since, at)
        weight = round(pipeline.spec.canary.steps[0].percent * 100)
        return lifecycle.to_canary(before, move.version, step=1, weight_bp=weight, since=since)
    if before.prod is None:
        return lifecycle.to_prod(before, move.version, until="", now="")
    until = next((one.until for one in after.draining if one.version == before.prod.version), "")
    ends = moment_of(until)
    moved = stamp(ends - DRAIN) if ends is not None else ""
    _require_near(moved, at)
    return lifecycle.to_prod(before, move.version, until=until, now=moved)


def _require_near(since: str, at: datetime) -> None:
    moment = moment_of(since)
    if moment is None or abs(moment - at) > SKEW:
        raise Refused(f"a time in the file ({since or 'none'}) is not that of the commit")
