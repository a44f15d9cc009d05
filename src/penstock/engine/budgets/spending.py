"""Spending: money set aside for one call, and what became of it."""

from collections.abc import Callable, Sequence
from typing import Any

from penstock.engine.budgets.purse import Purse
from penstock.engine.controls import RunClaim
from penstock.engine.event_log import now
from penstock.store.money import nano_of


class Spending:
    """One call's money. `most` None = its price is not known, and nothing could be set aside."""

    __slots__ = ("_claim", "_day", "_model", "_most", "_purses", "_settled")

    def __init__(
        self,
        claim: RunClaim,
        model: str,
        most: int | None,
        purses: Sequence[Purse],
        day: str,
        settled: Callable[[Sequence[Purse], dict[str, Any] | None], None],
    ) -> None:
        self._claim = claim
        self._model = model
        self._most = most
        self._purses: Sequence[Purse] | None = purses
        self._day = day
        self._settled = settled

    def settle(self, cost_usd: float | None) -> None:
        """What the call cost, USD; None = it is not known, and what was set aside counts. The first word stays."""
        purses, self._purses = self._purses, None
        if purses is None:
            return
        most = self._most or 0
        estimated = cost_usd is None and self._most is not None
        nano = self._most if cost_usd is None else nano_of(cost_usd)
        for purse in purses:
            purse.reserved -= most
            purse.used += nano or 0
        self._settled(purses, self._record(nano, estimated=estimated) if nano != 0 else None)

    def _record(self, nano: int | None, *, estimated: bool) -> dict[str, Any]:
        claim = self._claim
        return {
            "kind": "spending",
            "at": now(),
            "day": self._day,
            "runId": claim.run_id,
            "agent": claim.agent,
            "team": claim.team,
            "tenant": claim.tenant or None,
            "model": self._model,
            "nano": nano,
            "estimated": estimated,
        }
