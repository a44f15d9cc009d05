"""The lifecycle explored as a state machine: no dead end, no version in two places, no way round what must allow it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import yaml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.contracts.canonical import digest
from penstock.contracts.evidence import Approval, Evidence
from penstock.contracts.gate_result import GateResult
from penstock.contracts.line import LineStop
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.contracts.stages import StagesSpec
from penstock.errors import Refused
from penstock.gates.evidence import EvidenceView, StandingGate
from penstock.release import canary as canaries
from penstock.release import lifecycle
from penstock.release.approval_rules import accepted_gates
from penstock.release.canary import Standing, due
from penstock.release.canary_step import is_last, share_at, step_of
from penstock.release.clock import moment_of, stamp
from penstock.release.condition import OVERRIDABLE
from penstock.release.people import People
from penstock.release.plan import Plan, Situation, plan
from penstock.release.rollout import Rollout
from penstock.release.stages_file import read_stages, write_stages
from penstock.routing.bucket import bucket

ADA, BEN, MIA = "ada@x.org", "ben@x.org", "mia@x.org"
PEOPLE = People("qa", frozenset({ADA}), frozenset({BEN, ADA}), frozenset({MIA}), frozenset())
DECIDERS: dict[str, str] = {"canary": BEN, "prod": MIA}
BEGIN = datetime(2026, 11, 20, 10, tzinfo=UTC)
CLOSED_HOURS = {22, 23, 0, 1, 2, 3, 4, 5}
GATES: dict[str, str] = {"dev": "smoke", "canary": "quality", "prod": "slo"}
WAYS = ["as it is", "all is there", "all is there", "override"]
KEYS = [f"session-{number}" for number in range(150)]
PIPELINE = Pipeline.model_validate(
    yaml.safe_load("""
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages:
    dev: {automatic: true, gates: [{gate: smoke}]}
    canary: {gates: [{gate: quality, inconclusive: person}], approvals: [{from: owners, validHours: 48}]}
    prod: {gates: [{gate: slo, inconclusive: person}], approvals: [{from: releaseManagers, validHours: 48}]}
  canary:
    steps:
      - {percent: 1, soak: 1h, minSessions: 10, deadline: 3d}
      - {percent: 5, soak: 1h}
      - {percent: 25, minSessions: 20, deadline: 0s}
      - {percent: 50, soak: 2h}
  blackouts:
    - {name: night, reason: asleep, cron: "0 22 * * *", duration: 8h, timeZone: UTC, stages: [canary, prod]}
""")
)


def digest_of(version: str) -> str:
    return digest(["release", version])


class Lifecycle(RuleBasedStateMachine):
    """Every move in any order, by a clock of its own; the model remembers what was measured, decided and overridden."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = lifecycle.EMPTY
        self.now = BEGIN
        self.versions: list[str] = []
        self.numbers = count(1)
        self.outcomes: dict[tuple[str, str], str] = {}
        self.decisions: dict[tuple[str, str], list[Approval]] = {}
        self.stop: LineStop | None = None
        self.sessions = 0
        self.analysis = "passed"
        self.served: set[str] = set()
        self.grown: tuple[tuple[str, str], int] = (("", ""), 0)
        self.met: set[str] = set()
        for version in ("0.1.0", "0.2.0"):
            self.versions.append(version)
            self.spec = lifecycle.to_dev(self.spec, lifecycle.standing(version, "direct"))
            self.spec = lifecycle.to_canary(self.spec, version, share_at(PIPELINE, 1), stamp(self.now))
            self.spec = lifecycle.to_prod(self.spec, version, until=stamp(self.now), now="")
            self.served.add(version)
        for version in ("0.3.0", "0.4.0"):
            self.versions.append(version)
            self.spec = lifecycle.to_dev(self.spec, lifecycle.standing(version, "direct"))
        self.spec = lifecycle.to_canary(self.spec, "0.3.0", share_at(PIPELINE, 1), stamp(self.now))

    @property
    def is_closed(self) -> bool:
        return self.now.hour in CLOSED_HOURS

    def rollout(self) -> Rollout | None:
        canary = self.spec.canary
        if canary is None or self.spec.prod is None:
            return None
        since = moment_of(canary.since)
        assert since is not None
        said = SimpleNamespace(outcome=self.analysis, reason="so they said", as_document=dict)
        total = len(PIPELINE.spec.canary.steps)
        step = step_of(PIPELINE, canary)
        return Rollout(canary.step, total, step, since, since, self.now, self.sessions, cast(Any, said))

    def view(self, version: str, stage: Stage) -> EvidenceView:
        outcome = self.outcomes.get((version, stage))
        result = None
        if outcome is not None:
            result = GateResult(
                gate=GATES[stage],
                outcome=cast(Any, outcome),
                reason="measured",
                release=digest_of(version),
                started_at="",
                finished_at="",
                inputs={},
            ).sealed()
        standing = StandingGate(stage, GATES[stage], {}, result, may_accept=stage != "dev")
        evidence = Evidence(
            release=digest_of(version), baseline=None, stage=stage, results=[result.id] if result is not None else []
        )
        return EvidenceView("helper", version, stage, (standing,), evidence, draft=False)

    def plan(self, spec: StagesSpec, version: str, stage: Stage, at: datetime) -> Plan:
        view = self.view(version, stage)
        said = tuple(one for one in self.decisions.get((version, stage), ()) if one.evidence == view.digest)
        rules = getattr(PIPELINE.spec.stages, stage).approvals
        opened = view.accepted(accepted_gates(rules, PEOPLE, frozenset({ADA}), said, at))
        release = cast(Release, SimpleNamespace(digest=digest_of(version)))
        situation = Situation(
            "helper",
            version,
            stage,
            "c" * 40,
            None,
            spec,
            PIPELINE,
            PEOPLE,
            at,
            release=release,
            runtime="direct",
            authors=frozenset({ADA}),
            view=opened,
            decisions=said,
            line_stops=(self.stop,) if self.stop is not None else (),
        )
        is_it = stage == "prod" and spec.canary is not None and spec.canary.version == version
        return plan(replace(situation, rollout=self.rollout() if is_it and spec is self.spec else None))

    def allowed(self, version: str, stage: Stage) -> bool:
        """Whether evidence and people allow the move, told without the plan."""
        digest_ = self.view(version, stage).digest
        current = [
            one
            for one in self.decisions.get((version, stage), ())
            if one.evidence == digest_ and one.who != ADA and (moment_of(one.expires_at) or BEGIN) > self.now
        ]
        outcome = self.outcomes.get((version, stage))
        open_ = outcome == "passed"
        open_ = open_ or (outcome == "inconclusive" and any(one.kind == "accept" for one in current))
        return open_ and (stage == "dev" or any(one.kind == "approve" for one in current))

    def attempt(self, move: Callable[[], StagesSpec]) -> None:
        try:
            self.spec = move()
        except Refused:
            return

    @rule(hours=st.sampled_from([1, 9, 80]))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def merge(self) -> None:
        version = f"1.{next(self.numbers)}.0"
        self.versions.append(version)
        self.outcomes[version, "dev"] = "passed"
        done = self.plan(self.spec, version, "dev", self.now)
        if done.ready:
            assert self.spec.hold is None, "nothing automatic under a hold"
            assert self.spec.status == "active"
            assert self.stop is None
            assert done.after is not None
            self.spec = done.after

    @precondition(lambda self: self.versions)
    @rule(
        data=st.data(),
        stage=st.sampled_from(["canary", "prod"]),
        outcome=st.sampled_from(["passed", "passed", "failed", "inconclusive"]),
    )
    def measure(self, data: st.DataObject, stage: Stage, outcome: str) -> None:
        self.outcomes[data.draw(st.sampled_from(self.versions[-3:])), stage] = outcome

    @precondition(lambda self: self.versions)
    @rule(
        data=st.data(),
        stage=st.sampled_from(["canary", "prod"]),
        kinds=st.sampled_from([["approve"], ["approve", "accept"], ["accept"]]),
        by=st.sampled_from(["who decides", "who decides", "its author"]),
    )
    def decide(self, data: st.DataObject, stage: Stage, kinds: list[str], by: str) -> None:
        version = data.draw(st.sampled_from(self.versions[-3:]))
        who = DECIDERS[stage] if by == "who decides" else ADA
        for kind in kinds:
            self.decide_now(version, stage, kind, who)

    def decide_now(self, version: str, stage: Stage, kind: str, who: str) -> None:
        one = Approval(
            kind=cast(Any, kind),
            evidence=self.view(version, stage).digest,
            release=digest_of(version),
            stage=stage,
            who=who,
            at=stamp(self.now),
            expires_at=stamp(self.now + timedelta(hours=48)),
            comment="good",
            gate=GATES[stage] if kind == "accept" else None,
        )
        self.decisions.setdefault((version, stage), []).append(one)

    @rule(data=st.data(), way=st.sampled_from(WAYS))
    def promote_to_canary(self, data: st.DataObject, way: str) -> None:
        self.promote(data, "canary", way)

    @rule(data=st.data(), way=st.sampled_from(WAYS))
    def promote_to_prod(self, data: st.DataObject, way: str) -> None:
        self.promote(data, "prod", way)

    def promote(self, data: st.DataObject, stage: Stage, way: str) -> None:
        standing = [self.spec.canary.version] if self.spec.canary is not None else []
        there = [one.version for one in self.spec.dev] if stage == "canary" else standing
        version = data.draw(st.sampled_from(there or self.versions))
        override = way == "override"
        if way == "all is there":
            self.outcomes[version, stage] = "passed"
            self.decide_now(version, stage, "approve", DECIDERS[stage])
        done = self.plan(self.spec, version, stage, self.now)
        if done.blocking(OVERRIDABLE if override else frozenset()):
            return
        self.require_open(version)
        assert override or self.allowed(version, stage), "only the logged override needs neither evidence nor approval"
        rollout = self.rollout() if stage == "prod" else None
        if rollout is not None and not override:
            assert rollout.number == rollout.count, "prod comes after the last step"
            assert self.analysis != "failed"
        assert done.after is not None
        self.spec = done.after
        self.sessions = 0
        if stage == "prod":
            self.served.add(version)

    def require_open(self, version: str) -> None:
        """What no override lifts."""
        assert self.spec.hold is None
        assert self.spec.status == "active"
        assert self.stop is None
        assert not self.is_closed
        assert digest_of(version) not in self.spec.quarantined

    @precondition(lambda self: self.spec.canary is not None and self.spec.prod is not None)
    @rule(
        times=st.integers(1, 4),
        hours=st.sampled_from([0, 2, 2]),
        sessions=st.sampled_from([0, 30]),
        analysis=st.sampled_from(["passed"] * 6 + ["failed", "errored"]),
    )
    def tick(self, times: int, hours: int, sessions: int, analysis: str) -> None:
        self.analysis = analysis
        for _ in range(times):
            self.sessions, self.now = self.sessions + sessions, self.now + timedelta(hours=hours)
            self.tick_once()

    def tick_once(self) -> None:
        canary, rollout = self.spec.canary, self.rollout()
        if canary is None or rollout is None:
            return
        action, why = self.asked(rollout)
        assert why or action == "wait"
        if action == "abort":
            assert self.spec.hold is None, "what is held waits for a person"
            assert self.analysis == "failed"
            self.back("canary", keep=False)
        elif action == "hold":
            self.require_open(canary.version)
            self.spec = lifecycle.hold(self.spec, "bot", stamp(self.now), why)
        elif action == "advance":
            self.require_open(canary.version)
            assert self.analysis == "passed"
            assert self.sessions >= rollout.step.min_sessions
            assert self.now >= rollout.soaks_until
            self.advance()

    def asked(self, rollout: Rollout) -> tuple[str, str]:
        """What the real tick would do here."""
        assert self.spec.canary is not None
        routes = SimpleNamespace(hold=self.spec.hold)
        history = SimpleNamespace(spec=self.spec, unresolved=[])
        release = SimpleNamespace(digest=digest_of(self.spec.canary.version), version=self.spec.canary.version)
        made: tuple[Any, ...] = ("helper", "c" * 40, PIPELINE, routes, history, release, "", rollout, ())
        stops = [self.stop] if self.stop is not None else []
        workspace = SimpleNamespace(releases=SimpleNamespace(line_stops=lambda: stops))
        with patch.object(canaries, "now", lambda: self.now):
            return due(cast(Any, workspace), Standing(*made))

    def advance(self) -> None:
        assert self.spec.canary is not None
        self.spec = lifecycle.advance(self.spec, share_at(PIPELINE, self.spec.canary.step + 1), stamp(self.now))
        self.sessions = 0

    @precondition(lambda self: self.spec.canary is not None and self.spec.prod is not None)
    @rule()
    def advance_by_hand(self) -> None:
        """A release manager's override: the step alone is lifted."""
        canary = self.spec.canary
        assert canary is not None
        stopped = self.spec.hold is not None or self.spec.status != "active" or self.stop is not None or self.is_closed
        if not stopped and digest_of(canary.version) not in self.spec.quarantined and not is_last(PIPELINE, canary):
            self.advance()

    @rule(stage=st.sampled_from(["canary", "prod"]), keep=st.booleans())
    def roll_back(self, stage: str, keep: bool) -> None:
        self.attempt(lambda: self.back(stage, keep=keep))

    def back(self, stage: str, *, keep: bool) -> StagesSpec:
        left = self.spec.canary if stage == "canary" else self.spec.prod
        back = lifecycle.roll_back_canary(self.spec) if stage == "canary" else lifecycle.roll_back_prod(self.spec)
        assert left is not None
        held = lifecycle.hold(back, MIA, stamp(self.now), "bad")
        self.spec = held if keep else lifecycle.quarantine(held, digest_of(left.version))
        return self.spec

    @precondition(lambda self: self.served)
    @rule(data=st.data())
    def roll_back_to(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.served)))
        if version not in self.spec.disabled:
            self.attempt(lambda: lifecycle.roll_back_prod(self.spec, lifecycle.standing(version, "direct")))

    @rule(what=st.sampled_from(["hold", "freeze", "disable", "line", "unhold", "thaw", "start"]))
    def stop_or_go(self, what: str) -> None:
        moves = {"freeze": lifecycle.freeze, "disable": lifecycle.disable_agent, "thaw": lifecycle.thaw}
        moves["unhold"] = lifecycle.unhold
        if what == "hold":
            self.spec = lifecycle.hold(self.spec, MIA, stamp(self.now), "look closer")
        elif what in moves:
            self.attempt(lambda: moves[what](self.spec))
        else:
            self.stop = None
        if what == "line":
            self.stop = LineStop(who=MIA, name="Mia", identified_by="git-config", at=stamp(self.now), reason="fire")

    @rule()
    def lift_all(self) -> None:
        """A morning on which everything that stands in the way of moves is lifted."""
        self.now = (self.now + timedelta(days=1)).replace(hour=7)
        self.spec = self.spec if self.spec.status == "active" else lifecycle.thaw(self.spec)
        self.spec = self.spec if self.spec.hold is None else lifecycle.unhold(self.spec)
        self.stop = None

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), move=st.sampled_from([lifecycle.deprecate, lifecycle.disable]))
    def retire(self, data: st.DataObject, move: Callable[[StagesSpec, str], StagesSpec]) -> None:
        version = data.draw(st.sampled_from(self.versions))
        self.attempt(lambda: move(self.spec, version))

    @precondition(lambda self: self.spec.quarantined)
    @rule(data=st.data())
    def unquarantine(self, data: st.DataObject) -> None:
        digest_ = data.draw(st.sampled_from(self.spec.quarantined))
        self.attempt(lambda: lifecycle.unquarantine(self.spec, digest_))

    @invariant()
    def every_version_stands_in_one_place_at_most(self) -> None:
        assert {version: at for version, at in lifecycle.places(self.spec).items() if len(at) > 1} == {}

    @invariant()
    def nothing_that_stood_is_lost(self) -> None:
        assert self.served <= lifecycle.places(self.spec).keys()

    @invariant()
    def the_file_says_it(self) -> None:
        assert read_stages(write_stages("helper", self.spec), "stages") == self.spec

    @invariant()
    def a_canary_only_grows_and_keeps_whom_it_met(self) -> None:
        canary = self.spec.canary
        if canary is None:
            self.grown, self.met = (("", ""), 0), set()
            return
        which = (canary.version, canary.began or canary.since)
        salt = digest_of(canary.version)
        met = {key for key in KEYS if bucket(f"{salt}:{key}", 10_000) < canary.weight_bp}
        if which == self.grown[0]:
            assert canary.weight_bp >= self.grown[1]
            assert self.met <= met
        self.grown, self.met = (which, canary.weight_bp), met

    @invariant()
    def what_stands_can_be_rolled_back(self) -> None:
        """Whatever is held, stopped, closed, frozen or quarantined."""
        if self.spec.canary is not None:
            assert lifecycle.roll_back_canary(self.spec).canary is None
        if self.spec.prod is not None and self.spec.previous is not None:
            back = lifecycle.roll_back_prod(self.spec).prod
            assert back is not None
            assert back.version == self.spec.previous.version

    @invariant()
    def there_is_no_dead_end(self) -> None:
        """From here a new version reaches prod by moves that somebody has the right to make, and by waiting."""
        kept = self.spec, self.now, self.stop, self.sessions, self.analysis
        served, version = set(self.served), "9.0.0"
        try:
            self.lift_all()
            self.analysis = "passed"
            self.outcomes |= {(version, stage): "passed" for stage in GATES}
            for stage in GATES:
                if stage == "prod" and self.spec.prod is not None:
                    self.grow_to_the_end()
                self.go(version, cast(Stage, stage))
            assert self.spec.prod is not None
            assert self.spec.prod.version == version
        finally:
            self.spec, self.now, self.stop, self.sessions, self.analysis = kept
            self.served = served
            for stage in GATES:
                self.decisions.pop((version, stage), None)

    def grow_to_the_end(self) -> None:
        for _ in PIPELINE.spec.canary.steps:
            self.sessions, self.now = 50, self.now + timedelta(hours=2)
            self.tick_once()
        self.sessions = 50

    def go(self, version: str, stage: Stage) -> None:
        if stage != "dev":
            self.decide_now(version, stage, "approve", DECIDERS[stage])
        done = self.plan(self.spec, version, stage, self.now)
        assert done.ready, done.unmet
        assert done.after is not None
        self.spec = done.after


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
