"""Purse: what this executor has in hand of one account, billionths of a USD."""

from dataclasses import dataclass

from penstock.contracts.budget import Budget
from penstock.store.budget_ledger import Account
from penstock.store.budgets import SHARE_OF_BUDGET, UNBOUNDED_BLOCK, Drawn, NotEnough
from penstock.store.money import nano_of


@dataclass(slots=True)
class Purse:
    """One account's money in hand. `granted` is what was drawn, of which `used` is spent and `reserved` set aside.

    `declared` = the platform team named this budget; one that nobody named is held by each executor alone while the
    database is away. `hard` and `soft` None = no such limit.
    """

    account: Account
    hard: int | None = None
    soft: int | None = None
    declared: bool = False
    granted: int = 0
    used: int = 0
    reserved: int = 0
    used_at: float = 0.0
    is_told: bool = False
    _alone: int = 0
    _seen: int = 0
    _used_when_seen: int = 0

    def bind(self, budget: Budget, *, declared: bool) -> None:
        """Takes limits, new or changed."""
        self.hard = nano_of(budget.hard_usd) if budget.hard_usd is not None else None
        self.soft = nano_of(budget.soft_usd) if budget.soft_usd is not None else None
        self.declared = declared

    @property
    def drawn(self) -> int:
        """What was drawn from the account itself."""
        return self.granted - self._alone

    @property
    def committed(self) -> int:
        """What is spent or set aside."""
        return self.used + self.reserved

    @property
    def free(self) -> int:
        """What may be set aside without asking anybody; below 0 where a call cost more than was thought possible."""
        return self.granted - self.used - self.reserved

    @property
    def spent(self) -> int:
        """What the account has spent as far as is known here: by all until the last look, by this executor since."""
        return self._seen + self.used - self._used_when_seen

    @property
    def is_over_soft(self) -> bool:
        """Whether the soft limit is reached."""
        return self.soft is not None and self.spent >= self.soft

    def take(self, drawn: Drawn) -> None:
        """Adds a block, and what the account says of everybody."""
        self.granted += drawn.granted
        self._seen = drawn.spent + self._not_in_ledger_yet(drawn.in_block)
        self._used_when_seen = self.used

    def refused(self, refusal: NotEnough) -> NotEnough:
        """The refusal with what was spent here and is still on its way to the ledger: it is no longer only held."""
        on_its_way = min(self._not_in_ledger_yet(refusal.in_block), refusal.held)
        return NotEnough(refusal.draw, refusal.spent + on_its_way, refusal.held - on_its_way)

    def _not_in_ledger_yet(self, in_block: int) -> int:
        return max(0, self.used - max(0, self.drawn - in_block))

    def draw_alone(self, need: int) -> bool:
        """A block without the database, within the limit as far as is known here; False if there is none."""
        if self.hard is None:
            block = max(need, UNBOUNDED_BLOCK)
        else:
            left = self.hard - self.spent - (self.granted - self.used)
            if left < need:
                return False
            block = max(need, min(self.hard // SHARE_OF_BUDGET, left))
        self.granted += block
        self._alone += block
        return True

    def give_back(self) -> int:
        """Takes what is free out of the purse; returns how much of it goes back to the account."""
        back = max(0, self.free)
        self.granted -= back
        kept = min(self._alone, back)
        self._alone -= kept
        return back - kept
