import random
from collections import deque
from typing import Any

import pytest

from penstock.contracts.breaker import Breaker as Rules
from penstock.contracts.breaker import BreakerRules
from penstock.engine.breakers.board import BreakerBoard
from penstock.engine.breakers.breaker import Breaker, CallPermit
from penstock.errors import BreakerOpen


class Clock:
    """Time that passes when a test says so, seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A breaker, its clock, and what its callers were told."""

    def __init__(self, **rules: Any) -> None:
        self.clock = Clock()
        self.changes: list[tuple[str, str]] = []
        wanted = {"failures": 3, "windowCalls": 10, "openMs": 1_000, "probes": 2, "probeMs": 5_000, **rules}
        self.breaker = Breaker("tools/search", Rules.model_validate(wanted), self.clock)

    @property
    def state(self) -> str:
        return self.breaker.state

    def permit(self) -> CallPermit:
        return self.breaker.permit(lambda change, why: self.changes.append((change, why)))

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.permit().failed()

    def refused(self) -> bool:
        try:
            self.permit().given_up()
        except BreakerOpen:
            return True
        return False

    def half_open(self) -> None:
        self.fail(3)
        self.clock.now += 1.0


def test_failures_in_a_row_open_it_and_say_why() -> None:
    one = Watched()
    one.fail(2)
    one.permit().succeeded()
    one.fail(2)
    assert (one.state, one.changes) == ("closed", [])
    one.fail()
    assert (one.state, one.changes) == ("open", [("opened", "3 failures in a row")])
    with pytest.raises(BreakerOpen) as refusal:
        one.permit()
    assert refusal.value.what == "the breaker of tools/search is open: 3 failures in a row"
    assert refusal.value.retry_after_s == 1.0


def test_a_share_of_failures_opens_it_once_the_window_is_full() -> None:
    one = Watched(failures=100, failureRate=0.5, windowCalls=10)
    for _ in range(5):
        one.fail()
        assert one.state == "closed"
        if len(one.changes) == 0:
            one.permit().succeeded()
    one.fail()
    assert one.changes == [("opened", "5 of the last 10 calls failed")]


def test_a_cancel_is_neither_good_nor_bad() -> None:
    one = Watched()
    one.fail(2)
    for _ in range(20):
        one.permit().given_up()
    assert one.state == "closed"
    one.fail()
    assert one.state == "open"


def test_of_fifty_callers_exactly_as_many_as_there_are_probes_get_through() -> None:
    one = Watched(probes=3)
    one.half_open()
    through = []
    for _ in range(50):
        try:
            through.append(one.permit())
        except BreakerOpen:
            continue
    assert len(through) == 3
    for probe in through:
        probe.succeeded()
    assert (one.state, one.changes[-1]) == ("closed", ("closed", "3 probes went well"))
    assert not any(one.refused() for _ in range(50))


def test_a_probe_that_fails_opens_it_again_and_the_others_say_nothing_more() -> None:
    one = Watched()
    one.half_open()
    first, second = one.permit(), one.permit()
    first.failed()
    assert (one.state, one.changes[-1]) == ("open", ("opened", "a probe failed"))
    second.succeeded()
    assert one.state == "open"
    one.clock.now += 1.0
    one.permit().succeeded()
    assert one.state == "half-open"
    one.permit().succeeded()
    assert one.state == "closed"


def test_a_cancelled_probe_gives_its_place_to_the_next() -> None:
    one = Watched(probes=1)
    one.half_open()
    one.permit().given_up()
    probe = one.permit()
    assert one.refused()
    probe.succeeded()
    probe.failed()
    assert one.state == "closed"


def test_a_stuck_probe_expires_and_its_late_end_counts_no_more() -> None:
    one = Watched(probes=1)
    one.half_open()
    stuck = one.permit()
    assert one.refused()
    one.clock.now += 5.0
    fresh = one.permit()
    stuck.failed()
    assert one.state == "half-open"
    fresh.succeeded()
    assert one.state == "closed"


def test_calls_from_before_it_opened_say_nothing_of_now() -> None:
    one = Watched()
    early = [one.permit() for _ in range(9)]
    one.half_open()
    early.pop().failed()
    early.pop().succeeded()
    assert one.state == "open"
    probes = [one.permit(), one.permit()]
    for late in early:
        late.failed()
    assert one.state == "half-open"
    for probe in probes:
        probe.succeeded()
    assert one.state == "closed"


def test_other_rules_hold_from_the_next_call_on() -> None:
    one = Watched(failures=100, windowCalls=50)
    one.fail(4)
    one.breaker.rule_by(Rules.model_validate({"failures": 5, "windowCalls": 2}))
    assert one.breaker.as_document()["windowFailures"] == 2
    one.fail()
    assert one.state == "open"


class Oracle:
    """What a breaker must do, told as plainly as it can be: it keeps everything and counts anew each time."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.state, self.era, self.until = "closed", 0, 0.0
        self.outcomes: list[bool] = []
        self.probes: dict[int, float] = {}
        self.good = 0

    def lets(self, number: int, now: float) -> bool:
        if self.state == "open" and now >= self.until:
            self.state, self.era, self.probes, self.good = "half-open", self.era + 1, {}, 0
        if self.state != "half-open":
            return self.state == "closed"
        alive = [end for end in self.probes.values() if end > now]
        if len(alive) + self.good >= self.rules.probes:
            return False
        self.probes[number] = now + self.rules.probe_ms / 1000
        return True

    def ended(self, number: int, era: int, outcome: str, now: float) -> None:
        probe_end = self.probes.pop(number, None)
        if outcome == "given up" or era != self.era:
            return
        if self.state == "closed":
            self.outcomes.append(outcome == "failed")
            window = self.outcomes[-self.rules.window_calls :]
            row = self.outcomes[-self.rules.failures :]
            many = len(window) == self.rules.window_calls and sum(window) / len(window) >= self.rules.failure_rate
            if outcome == "failed" and (many or (len(row) == self.rules.failures and all(row))):
                self.open(now)
        elif self.state == "half-open" and probe_end is not None and probe_end > now:
            if outcome == "failed":
                self.open(now)
                return
            self.good += 1
            if self.good == self.rules.probes:
                self.state, self.era, self.outcomes = "closed", self.era + 1, []

    def open(self, now: float) -> None:
        self.state, self.era, self.until = "open", self.era + 1, now + self.rules.open_ms / 1000


@pytest.mark.parametrize("seed", range(40))
def test_it_does_what_the_plain_telling_of_it_does(seed: int) -> None:
    chance = random.Random(seed)
    wanted = {
        "failures": chance.randint(1, 6),
        "failureRate": chance.choice([0.25, 0.5, 0.75, 1.0]),
        "windowCalls": chance.randint(1, 12),
        "openMs": 1_000,
        "probes": chance.randint(1, 4),
        "probeMs": 3_000,
    }
    one, under_way = Watched(**wanted), deque[tuple[int, int, CallPermit]]()
    oracle = Oracle(Rules.model_validate(wanted))
    for number in range(600):
        one.clock.now += chance.choice([0.0, 0.0, 0.1, 0.7])
        try:
            permit = one.permit()
        except BreakerOpen:
            assert not oracle.lets(number, one.clock.now)
        else:
            assert oracle.lets(number, one.clock.now)
            under_way.append((number, oracle.era, permit))
        under_way.rotate(chance.randrange(5))
        while under_way and chance.random() < 0.6:
            ended, era, call = under_way.popleft()
            outcome = chance.choices(["went well", "failed", "given up"], [4, 5, 1])[0]
            {"went well": call.succeeded, "failed": call.failed, "given up": call.given_up}[outcome]()
            oracle.ended(ended, era, outcome, one.clock.now)
        assert one.state == oracle.state


def test_each_resource_has_its_own_rules_and_its_own_breaker() -> None:
    rules = BreakerRules.model_validate({"tools": {"search": {"failures": 1}}, "model": {"failures": 2}})
    board = BreakerBoard(rules)
    told: list[tuple[str, str]] = []
    for resource in ("tools/search", "tools/other", "models/search"):
        board.permit(resource, lambda *change: told.append(change)).failed()
    assert {row["resource"]: row["state"] for row in board.as_documents()} == {
        "models/search": "closed",
        "tools/other": "closed",
        "tools/search": "open",
    }
    assert len(told) == 1


def test_an_operators_word_holds_until_there_is_another_and_closing_forgets() -> None:
    orders: list[dict[str, dict[str, str]]] = [{}]
    board = BreakerBoard(BreakerRules.model_validate({"tool": {"failures": 2}}), lambda: orders[0])
    told: list[str] = []

    def fail() -> None:
        board.permit("tools/search", lambda change, _: told.append(change)).failed()

    fail()
    order = {"actor": "ada@example.org", "reason": "it is being moved", "at": "2026-11-20T10:00:00Z"}
    orders[0] = {"tools/search": {"state": "open", **order}}
    with pytest.raises(BreakerOpen, match=r"was opened by ada@example\.org: it is being moved"):
        fail()
    row = board.as_documents()[0]
    assert (row["state"], row["openedBy"], row["why"], row["since"]) == (
        "open", "ada@example.org", "it is being moved", "2026-11-20T10:00:00Z",
    )  # fmt: skip
    orders[0] = {"tools/search": {"state": "closed", **order}}
    fail()
    assert (board.as_documents()[0]["state"], told) == ("closed", []), "the failure before the order is forgotten"
    fail()
    assert (board.as_documents()[0]["state"], told) == ("open", ["opened"])
    orders[0] = dict(orders[0])  # a later table carries the same order: it is not taken twice
    assert board.as_documents()[0]["state"] == "open"
    orders[0] = {"tools/search": {"state": "closed", **order, "at": "2026-11-20T11:00:00Z"}}
    assert board.as_documents()[0]["state"] == "closed"
