"""BreakerBoard: the breakers of one process, one for each tool and model, and what operators order about them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from penstock.contracts.breaker import Breaker as Rules
from penstock.contracts.breaker import BreakerRules
from penstock.engine.breakers.breaker import Breaker, CallPermit, Told
from penstock.errors import BreakerOpen

Orders = Mapping[str, Mapping[str, Any]]
"""What operators ordered, by resource: state, actor, reason, at (a routing table's `breakers`)."""
NO_ORDERS: Orders = {}


class BreakerBoard:
    """The breakers of one event loop (controls.Breakers).

    `orders` gives what operators ordered, the same object until it changes. An order to open stands until there is
    another; an order to close forgets what was counted, once.
    """

    def __init__(
        self,
        rules: BreakerRules,
        orders: Callable[[], Orders] = lambda: NO_ORDERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._orders = orders
        self._clock = clock
        self._taken: Orders = NO_ORDERS
        self._held: dict[str, Mapping[str, Any]] = {}
        self._breakers: dict[str, Breaker] = {}

    def permit(self, resource: str, told: Told) -> CallPermit:
        """Leave for a call of `resource`; raises `BreakerOpen`."""
        orders = self._orders()
        if orders is not self._taken:
            self._take(orders)
        if resource in self._held:
            raise _held_open(resource, self._held[resource])
        breaker = self._breakers.get(resource)
        if breaker is None:
            breaker = self._breakers[resource] = Breaker(resource, self._rules_of(resource), self._clock)
        return breaker.permit(told)

    def rule_by(self, rules: BreakerRules) -> None:
        """Takes other rules, for the next call; what was counted stays."""
        self._rules = rules
        for resource, breaker in self._breakers.items():
            breaker.rule_by(self._rules_of(resource))

    def as_documents(self) -> list[dict[str, Any]]:
        """Every breaker that was asked or is held open, by resource."""
        orders = self._orders()
        if orders is not self._taken:
            self._take(orders)
        rows = {resource: breaker.as_document() for resource, breaker in self._breakers.items()}
        for resource, order in self._held.items():
            rows[resource] = _held_row(resource, order, rows.get(resource, {}))
        return [rows[resource] for resource in sorted(rows)]

    def _take(self, orders: Orders) -> None:
        for resource, order in orders.items():
            if order["state"] == "closed" and order != self._taken.get(resource) and resource in self._breakers:
                self._breakers[resource].reset()
        self._held = {resource: order for resource, order in orders.items() if order["state"] == "open"}
        self._taken = orders

    def _rules_of(self, resource: str) -> Rules:
        folder, _, name = resource.partition("/")
        if folder == "tools":
            return self._rules.tools.get(name, self._rules.tool)
        return self._rules.models.get(name, self._rules.model)


def _held_open(resource: str, order: Mapping[str, Any]) -> BreakerOpen:
    what = f"the breaker of {resource} was opened by {order['actor']}: {order['reason']}"
    return BreakerOpen(what, where=resource, now=f"`agentctl breaker close {resource}` lets calls through again")


def _held_row(resource: str, order: Mapping[str, Any], counted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "resource": resource,
        "state": "open",
        "why": order["reason"],
        "since": order["at"],
        "failuresInARow": counted.get("failuresInARow", 0),
        "windowCalls": counted.get("windowCalls", 0),
        "windowFailures": counted.get("windowFailures", 0),
        "openedBy": order["actor"],
    }
