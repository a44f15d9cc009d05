"""Breaker: closed -> open after failures -> half-open with a few probes at once -> closed."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from penstock.contracts.breaker import Breaker as Rules
from penstock.engine.event_log import now
from penstock.errors import BreakerOpen

State = Literal["closed", "open", "half-open"]
Told = Callable[[str, str], None]
"""Hears `opened` or `closed`, and why."""


class CallPermit:
    """Leave for one call (controls.Permit). What is said a second time, or too late, changes nothing."""

    __slots__ = ("_breaker", "_era", "_told", "expires_at")

    def __init__(self, breaker: "Breaker", era: int, told: Told, expires_at: float = 0.0) -> None:
        self._breaker = breaker
        self._era = era
        self._told = told
        self.expires_at = expires_at
        """Of a probe: when it is given up, by the breaker's clock."""

    def succeeded(self) -> None:
        """The call went well."""
        self._breaker.succeeded(self, self._era, self._told)

    def failed(self) -> None:
        """What was called failed."""
        self._breaker.failed(self, self._era, self._told)

    def given_up(self) -> None:
        """The call ended for the caller's reasons: neither good nor bad."""
        self._breaker.given_up(self)


class Breaker:
    """The breaker of one resource, for one event loop. `clock` counts seconds and never goes back.

    Only what began in the present era counts: a call that was let through before the breaker opened and ends after it
    says nothing about now.
    """

    def __init__(self, resource: str, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self.resource = resource
        self._clock = clock
        self._era = 0
        self._probes: set[CallPermit] = set()
        self._probed = 0
        self._open_until = 0.0
        self._rules = rules
        self._window: deque[bool] = deque(maxlen=rules.window_calls)
        self._window_failures = 0
        self.failures_in_a_row = 0
        self._enter("closed", "")

    def rule_by(self, rules: Rules) -> None:
        """Takes other rules from now on; what was counted stays, as far as the new window reaches."""
        self._rules = rules
        self._window = deque(self._window, maxlen=rules.window_calls)
        self._window_failures = self._window.count(True)

    def reset(self) -> None:
        """Closed, with nothing counted; calls under way count no more."""
        self._window.clear()
        self._window_failures = 0
        self.failures_in_a_row = 0
        self._enter("closed", "")

    def permit(self, told: Told) -> CallPermit:
        """Leave for one call; raises `BreakerOpen`."""
        if self.state == "closed":
            return CallPermit(self, self._era, told)
        at = self._clock()
        if self.state == "open":
            if at < self._open_until:
                raise self._refusal(self._open_until - at)
            self._enter("half-open", self.why)
        self._probes = {probe for probe in self._probes if probe.expires_at > at}
        if len(self._probes) + self._probed >= self._rules.probes:
            raise self._refusal(1.0)
        probe = CallPermit(self, self._era, told, at + self._rules.probe_ms / 1000)
        self._probes.add(probe)
        return probe

    def succeeded(self, permit: CallPermit, era: int, told: Told) -> None:
        """A call of that era went well."""
        if era != self._era:
            return
        if self.state == "closed":
            self.failures_in_a_row = 0
            self._count(failed=False)
        elif self._takes(permit):
            self._probed += 1
            if self._probed >= self._rules.probes:
                why = f"{self._probed} probe{'s' if self._probed > 1 else ''} went well"
                self.reset()
                told("closed", why)

    def failed(self, permit: CallPermit, era: int, told: Told) -> None:
        """What a call of that era called failed."""
        if era != self._era:
            return
        if self.state == "half-open":
            if self._takes(permit):
                self._open("a probe failed", told)
            return
        self.failures_in_a_row += 1
        self._count(failed=True)
        window = len(self._window)
        if self.failures_in_a_row >= self._rules.failures:
            row = self.failures_in_a_row
            self._open(f"{row} failures in a row" if row > 1 else "a failure", told)
        elif window == self._rules.window_calls and self._window_failures >= self._rules.failure_rate * window:
            self._open(f"{self._window_failures} of the last {window} calls failed", told)

    def given_up(self, permit: CallPermit) -> None:
        """A call ended for its caller's reasons; a probe's place is free again."""
        self._probes.discard(permit)

    def as_document(self) -> dict[str, Any]:
        """State, reason and counts as a JSON object; `retryInS` only while it is open."""
        left_s = max(0.0, self._open_until - self._clock())
        return {
            "resource": self.resource,
            "state": self.state,
            "why": self.why,
            "since": self.since,
            "failuresInARow": self.failures_in_a_row,
            "windowCalls": len(self._window),
            "windowFailures": self._window_failures,
            "openedBy": None if self.state == "closed" else "failures",
            **({"retryInS": round(left_s, 3)} if self.state == "open" else {}),
        }

    def _takes(self, permit: CallPermit) -> bool:
        """Whether it is a probe that was waited for; one that expired is none."""
        waited_for = permit in self._probes and permit.expires_at > self._clock()
        self._probes.discard(permit)
        return waited_for

    def _open(self, why: str, told: Told) -> None:
        self._enter("open", why)
        self._open_until = self._clock() + self._rules.open_ms / 1000
        told("opened", why)

    def _enter(self, state: State, why: str) -> None:
        self.state: State = state
        self.why = why
        self.since = now()
        self._era += 1
        self._probes = set()
        self._probed = 0

    def _count(self, *, failed: bool) -> None:
        window = self._window
        if len(window) == window.maxlen:
            self._window_failures -= window[0]
        window.append(failed)
        self._window_failures += failed

    def _refusal(self, retry_after_s: float) -> BreakerOpen:
        return BreakerOpen(
            f"the breaker of {self.resource} is open: {self.why}",
            where=self.resource,
            now="it is tried again by itself; `agentctl breaker` shows when",
            retry_after_s=retry_after_s,
        )
