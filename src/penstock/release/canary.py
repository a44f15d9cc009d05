"""A tick of the canaries: each is taken a step on, held for a person, or rolled back, as its live sessions say.

Stateless: whatever a tick needs is in Git, the release store and the database, so that any process may do the next one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contracts.evidence import Evidence, Request
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.release import Release
from penstock.contracts.routing_table import AgentRoutes
from penstock.errors import Conflict, NotFound, PenstockError, Refused, Unavailable, WrongUse
from penstock.release import lifecycle
from penstock.release.canary_step import LIVE_ANALYSIS, share_at, step_parameters
from penstock.release.clock import now, stamp
from penstock.release.committing import Delivered, Written, commit_stages
from penstock.release.condition import (
    Condition,
    blackout_conditions,
    degraded_conditions,
    line_conditions,
    standing_conditions,
)
from penstock.release.crash_point import step
from penstock.release.history import History
from penstock.release.judge import Judge
from penstock.release.move import Move
from penstock.release.pending import uncommitted
from penstock.release.publish import Cause, history_of, publish_head
from penstock.release.read_rollout import read_rollout
from penstock.release.rollback import roll_back
from penstock.release.rollout import Action, Rollout
from penstock.release.situation import require_pipeline
from penstock.release.stages_file import write_stages
from penstock.release.stops import hold
from penstock.release.urgent import agent_people, clean_reason, require_routes, require_table
from penstock.release.workspace import Workspace

WITHOUT_A_MOVE = {"wait": "waiting", "done": "done", "errored": "errored"}
"""What a tick that moves nothing says it did."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One canary beside prod as a tick finds it: at `head`, by the table in force.

    `uncommitted` are the urgent changes of that table that Git lacks, a sentence each.
    """

    agent: str
    head: str
    pipeline: Pipeline
    routes: AgentRoutes
    history: History
    release: Release
    baseline: str
    rollout: Rollout
    uncommitted: tuple[str, ...]

    @property
    def is_held(self) -> bool:
        """Whether a hold is in force, in Git or not yet."""
        return self.routes.hold is not None

    @property
    def version(self) -> str:
        """The canary's version."""
        return self.release.version

    @property
    def place(self) -> str:
        """The canary and its step in words."""
        return f"{self.agent}@{self.version}, step {self.rollout.number} of {self.rollout.count}"


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did with a canary: advanced, proposed (as a merge request), aborted, held, waiting, done, errored.

    `why` is one sentence.
    """

    agent: str
    version: str
    did: str
    why: str
    rollout: Rollout | None = None

    @property
    def failed(self) -> bool:
        """Whether the environment kept it, so that the next tick may do it."""
        return self.did == "errored"

    def as_document(self) -> dict[str, Any]:
        """The tick as a JSON object."""
        return {
            "agent": self.agent,
            "version": self.version,
            "did": self.did,
            "why": self.why,
            "rollout": self.rollout.as_document() if self.rollout is not None else None,
        }


def tick(workspace: Workspace, agents: list[str] | None = None, *, dry: bool = False) -> list[Ticked]:
    """Does what is due for each canary (None: all agents), at the base branch as last fetched.

    One that fails does not keep the others. `dry` only says what would be done. Raises `Unavailable` when neither the
    base branch nor the release store can be read, `NotFound` for an agent that is in no table.
    """
    table = require_table(workspace, workspace.releases.newest_table())
    for agent in agents or ():
        require_routes(table, agent)
    driver = workspace.acting_alone()
    try:
        return list(_ticks(driver, agents if agents is not None else sorted(table.agents), dry=dry))
    finally:
        driver.close()


def _ticks(driver: Workspace, agents: list[str], *, dry: bool) -> Iterator[Ticked]:
    for agent in agents:
        version = ""
        try:
            found = read_standing(driver, agent)
            if found is not None:
                version = found.version
                yield _would(driver, found) if dry else _act(driver, found)
        except PenstockError as error:
            did = "errored" if isinstance(error, Unavailable | Conflict) else "waiting"
            yield Ticked(agent, version, did, error.what)


def read_standing(workspace: Workspace, agent: str) -> Standing | None:
    """The agent's canary beside prod; None where no canary shares with prod. Raises `Unavailable`."""
    table = workspace.releases.newest_table()
    routes = table.agents.get(agent) if table is not None else None
    if routes is None or routes.canary is None or routes.prod is None:
        return None
    head = workspace.base_head()
    pipeline = require_pipeline(workspace.registry_of(head, agent))
    rollout = read_rollout(workspace, agent, routes, pipeline, now())
    assert rollout is not None
    history = history_of(workspace, Judge(workspace, table), agent, head)
    return Standing(
        agent,
        head,
        pipeline,
        routes,
        history,
        workspace.releases.get_release(routes.canary.release),
        routes.prod.release,
        rollout,
        tuple(uncommitted(table, history)),
    )


def hindrances(workspace: Workspace, found: Standing) -> list[Condition]:
    """What keeps the canary from going on beside its own step: drift, a hold, a cheaper model, the line, a blackout."""
    spec = found.history.spec
    unmet = [Condition("obstacle", str(one)) for one in found.history.unresolved[:1]]
    unmet += [Condition("obstacle", sentence) for sentence in found.uncommitted]
    if spec.canary is None or spec.canary.version != found.version or spec.canary.step != found.rollout.number:
        unmet.append(Condition("obstacle", "the stages file says another canary than the table in force"))
    unmet += standing_conditions(found.agent, spec, found.release)
    unmet += degraded_conditions(found.agent, spec, "canary")
    unmet += line_conditions(workspace.releases.line_stops())
    unmet += blackout_conditions(found.pipeline, found.agent, "canary", now())
    return unmet


def advance_by_hand(workspace: Workspace, agent: str, reason: str) -> Ticked:
    """Takes a canary a step on though its step still waits: a release manager's act, on record as an override.

    Raises `Refused` for others, where no step is left, and for what no override lifts (hold, stopped line, blackout).
    """
    if workspace.settings.driver != "ci":
        raise WrongUse("driver = dagster moves canaries", now="lower what pipelines/release.yaml asks of the step")
    text = clean_reason(reason)
    found = _require_standing(workspace, agent)
    agent_people(workspace, agent).require_manager(workspace.actor, "override")
    unmet = hindrances(workspace, found)
    if unmet or found.rollout.number >= found.rollout.count:
        why = [one.sentence for one in unmet] or ["the canary stands at its last step: `agentctl promote` it to prod"]
        raise Refused(f"{found.place} may not go on:\n" + "\n".join(f"  - {one}" for one in why))
    request = Request(
        action="advance",
        agent=agent,
        version=found.version,
        release=found.release.digest,
        stage="canary",
        who=workspace.actor,
        identified_by=workspace.person.identified_by,
        at=stamp(now()),
        parameters={"override": True, "reason": text, "unmet": list(found.rollout.waits_for)},
    )
    override = workspace.records.put_request(request)
    move = Move("advance", agent, found.version, "canary", override=override, reason=text, by=workspace.actor)
    return _advanced(workspace, found, move)


def _require_standing(workspace: Workspace, agent: str) -> Standing:
    workspace.fetch()
    require_routes(require_table(workspace, workspace.releases.newest_table()), agent)
    found = read_standing(workspace, agent)
    if found is None:
        raise NotFound(f"no canary of {agent} shares with prod", now=f"`agentctl status {agent}`")
    return found


def due(driver: Workspace, found: Standing) -> tuple[Action | Literal["errored"], str]:
    """What is to be done now, and one sentence why; a held canary waits, whatever its sessions say."""
    rollout = found.rollout
    kept = [one.sentence for one in hindrances(driver, found)]
    if not found.is_held and rollout.action == "abort":
        return "abort", rollout.analysis.reason
    if not found.is_held and rollout.analysis.outcome == "errored":
        return "errored", rollout.analysis.reason
    if kept or rollout.action == "wait":
        return "wait", "; ".join([*kept, *rollout.waits_for])
    if rollout.action == "hold":
        return "hold", f"too little traffic by the deadline: {'; '.join(rollout.waits_for)}"
    if rollout.action == "done":
        return "done", "its last step is done: a person decides about prod"
    return "advance", rollout.analysis.reason


def _would(driver: Workspace, found: Standing) -> Ticked:
    action, why = due(driver, found)
    did = WITHOUT_A_MOVE.get(action, f"would {action}")
    return Ticked(found.agent, found.version, did, why, found.rollout)


def _act(driver: Workspace, found: Standing) -> Ticked:
    action, why = due(driver, found)
    if action == "advance":
        return _advanced(driver, found, _step_move(driver, found))
    if action == "abort":
        roll_back(driver, found.agent, f"live analysis: {why}", stage="canary")
    if action == "hold":
        hold(driver, found.agent, why)
    did = {"abort": "aborted", "hold": "held", **WITHOUT_A_MOVE}[action]
    return Ticked(found.agent, found.version, did, why, found.rollout)


def _step_move(driver: Workspace, found: Standing) -> Move:
    """The step's move, on evidence of what its sessions said; the evidence is stored before the commit names it.

    What a tick stored that was killed, or that only proposed the step, is found again: a proposal stays as it is.
    """
    canary = found.history.spec.canary
    assert canary is not None  # a hindrance otherwise
    about = step_parameters(canary)
    known = driver.records.results(found.release.digest)
    result = next(
        (one for one in known if (one.gate, one.parameters, one.baseline) == (LIVE_ANALYSIS, about, found.baseline)),
        None,
    )
    if result is None:
        result = _step_result(found, about)
        driver.records.put_result(result)
    evidence = Evidence(release=found.release.digest, baseline=found.baseline, stage="canary", results=[result.id])
    driver.records.put_evidence(evidence)
    step("step's evidence stored")
    return Move("advance", found.agent, found.version, "canary", evidence=evidence.digest, by=driver.actor)


def _step_result(found: Standing, about: dict[str, Any]) -> GateResult:
    rollout, at = found.rollout, stamp(now())
    return GateResult(
        gate=LIVE_ANALYSIS,
        outcome="passed",
        reason=rollout.analysis.reason,
        measured=rollout.analysis.as_document(),
        limit={"minSessions": rollout.step.min_sessions, "soak": rollout.step.soak},
        release=found.release.digest,
        baseline=found.baseline,
        parameters=about,
        started_at=at,
        finished_at=at,
        inputs={"release": found.release.digest, "baseline": found.baseline, "parameters": about},
        origin="released",
    ).sealed()


def _advanced(workspace: Workspace, found: Standing, move: Move) -> Ticked:
    share = share_at(found.pipeline, found.rollout.number + 1)

    def write(_: str) -> Written:
        at = now()
        after = lifecycle.advance(found.history.spec, share, stamp(at))
        return Written(write_stages(found.agent, after), move, "\n".join(found.rollout.sentences), at)

    delivered = commit_stages(workspace, found.agent, found.history.blob, write)
    percent = f"{found.place} -> {share.step} ({share.weight_bp / 100:g} %)"
    if delivered.proposal is not None:
        return Ticked(found.agent, found.version, "proposed", delivered.proposal.url, found.rollout)
    return _published(workspace, found, move, delivered, percent)


def _published(workspace: Workspace, found: Standing, move: Move, delivered: Delivered, what: str) -> Ticked:
    cause = Cause("advance", move.by, move.reason or what)
    published = publish_head(workspace, workspace.base_head(), cause)
    routes = published.table.agents[found.agent] if published.table is not None else None
    is_live = routes is not None and routes.canary is not None and routes.canary.step == found.rollout.number + 1
    if not is_live:
        problems = [*map(str, published.unresolved), *published.problems] or ["another table came first"]
        why = f"committed as {delivered.commit[:12]} and not in force: {'; '.join(problems)}"
        return Ticked(found.agent, found.version, "errored", why, found.rollout)
    return Ticked(found.agent, found.version, "advanced", what, found.rollout)
