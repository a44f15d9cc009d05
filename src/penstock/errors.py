"""The few ways in which Penstock says no: each error tells what, where and what now.

Exit status and HTTP status stand on the class and are mapped once, at the edge (`penstock.cli`,
`penstock.executor`). Whether a retry can help is a type (`Unavailable`), never a word in a message.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong in a file that a person wrote.

    `line` and `column` count from 1; 0 means that the file as a whole is meant. `pointer` is the place inside the
    document (`spec.limits.timeoutMs`), empty where there is none. `hint` says what to do now.
    """

    path: str
    line: int
    column: int
    pointer: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        pointer = f" {self.pointer}:" if self.pointer else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}:{pointer} {self.what}{hint}"

    def as_dict(self) -> dict[str, object]:
        """The fault as a JSON object."""
        return asdict(self)


class PenstockError(Exception):
    """Base of all errors shown to a user: `what` went wrong, `where`, and what to do `now`."""

    slug = "error"
    exit_code = 1
    http_status = 500

    def __init__(self, what: str, *, where: str = "", now: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.now = now

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        now = f"\n  {self.now}" if self.now else ""
        return f"{where}{self.what}{now}"

    def as_dict(self) -> dict[str, object]:
        """The error as a JSON object: type, what, where, now."""
        return {"type": self.slug, "what": self.what, "where": self.where, "now": self.now}


class Refused(PenstockError):
    """The answer is no: a rule, a policy or missing evidence stands against it."""

    slug = "refused"
    http_status = 403


class NotFound(PenstockError):
    """What was asked for does not exist."""

    slug = "not-found"
    http_status = 404


class Conflict(PenstockError):
    """A pointer was moved by somebody else: both revisions are named."""

    slug = "conflict"
    http_status = 409


class Invalid(PenstockError):
    """Input that breaks its contract; `faults` holds every fault, never a part of them."""

    slug = "invalid"
    http_status = 422

    def __init__(self, what: str, *, where: str = "", now: str = "", faults: Iterable[Fault] = ()) -> None:
        super().__init__(what, where=where, now=now)
        self.faults = sorted(faults)

    def __str__(self) -> str:
        return "\n".join([*(str(fault) for fault in self.faults), super().__str__()])

    def as_dict(self) -> dict[str, object]:
        """The error as a JSON object, with its faults."""
        return {**super().as_dict(), "faults": [fault.as_dict() for fault in self.faults]}


class LimitReached(PenstockError):
    """A declared limit refuses the call for now; it may go better after `retry_after_s` seconds.

    `level` is whose limit it is (`team shop`), `limit` its name (`concurrency`); both empty where there are none.
    """

    slug = "limit-reached"
    http_status = 429

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        now: str = "",
        retry_after_s: float = 1.0,
        level: str = "",
        limit: str = "",
    ) -> None:
        super().__init__(what, where=where, now=now)
        self.retry_after_s = retry_after_s
        self.level = level
        self.limit = limit

    @property
    def facts(self) -> dict[str, object]:
        """Whose limit, which one, and the seconds after which to try again, as a JSON object."""
        of_whom = {"level": self.level, "limit": self.limit} if self.level else {}
        return {**of_whom, "retryAfterS": round(self.retry_after_s, 3)}


class BudgetSpent(LimitReached):
    """A hard budget does not hold what is asked for; `ledger` is what it was spent on, the newest last."""

    slug = "budget-spent"

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        now: str = "",
        retry_after_s: float = 1.0,
        ledger: Iterable[dict[str, object]] = (),
    ) -> None:
        super().__init__(what, where=where, now=now, retry_after_s=retry_after_s)
        self.ledger = list(ledger)

    def as_dict(self) -> dict[str, object]:
        """The error as a JSON object, with its ledger."""
        return {**super().as_dict(), "ledger": self.ledger}


class BreakerOpen(PenstockError):
    """What failed again and again, or was ordered to rest, is not called for now; perhaps after `retry_after_s`."""

    slug = "breaker-open"
    http_status = 503

    def __init__(self, what: str, *, where: str = "", now: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(what, where=where, now=now)
        self.retry_after_s = retry_after_s


class WrongUse(PenstockError):
    """A command or a request that makes no sense as it was given."""

    slug = "wrong-use"
    exit_code = 2
    http_status = 400


class Unavailable(PenstockError):
    """The environment failed (a store, Git, a database): there is no answer, and a retry may get one."""

    slug = "unavailable"
    exit_code = 3
    http_status = 503
