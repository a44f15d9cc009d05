"""A batch in a request's body: JSONL, each line a run order or a bare input."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import orjson

from penstock.errors import Fault, Invalid, PenstockError
from penstock.executor.intake import Intake, mode_faults
from penstock.executor.order import Identity, RunOrder, order_of

MAX_BYTES = 16 << 20
MAX_LINES = 10_000
"""One transaction holds them all: more would keep other writers of SQLite waiting for seconds."""
MAX_S = 60.0
BREATH = 100
"""So many lines are checked before others get their turn."""

Line = tuple[int, RunOrder]


async def read_lines(body: bytes, intake: Intake, agent: str, identity: Identity) -> list[Line]:
    """The orders of a batch by their line, from 1; blank lines are none.

    Raises `Invalid` with the faults of every line, and what stands against the agent as a whole.
    """
    lines: list[Line] = []
    faults: list[Fault] = []
    checks = _InputChecks(intake, agent, identity)
    for number, text in enumerate(body.splitlines(), start=1):
        if not text.strip():
            continue
        if number % BREATH == 0:
            await asyncio.sleep(0)
        try:
            order = _order(text)
            lines.append((number, order))
            faults += _placed([*mode_faults(order), *checks.faults(order)], number)
        except Invalid as invalid:
            faults += _placed(invalid.faults, number)
    if len(lines) > MAX_LINES:
        faults.append(Fault("request body", 0, 0, "", f"has over {MAX_LINES} lines", "send several batches"))
    if not lines and not faults:
        faults.append(Fault("request body", 0, 0, "", "has no line", "send one run order or input a line"))
    checks.require_a_taker()
    if faults:
        what = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}, so nothing was accepted"
        raise Invalid(what, where="request body", now="mend them all", faults=faults)
    return lines


class _InputChecks:
    """Holds inputs against the releases that would answer them now; each release is looked up once."""

    def __init__(self, intake: Intake, agent: str, identity: Identity) -> None:
        self._intake = intake
        self._agent = agent
        self._identity = identity
        self._found: dict[tuple[str | None, str | None], Callable[[Any], list[Fault]] | PenstockError] = {}

    def faults(self, order: RunOrder) -> list[Fault]:
        """What the order's release has against it; that there is none is a fault of the line."""
        wish = (order.version, order.stage)
        if wish not in self._found:
            self._found[wish] = self._of(order)
        found = self._found[wish]
        if isinstance(found, PenstockError):
            return [Fault("request body", 0, 0, "", found.what, found.now)]
        return found(order.input)

    def require_a_taker(self) -> None:
        """Raises what stands against the lines' agent where no line would be taken, whatever it holds."""
        refusals = [one for one in self._found.values() if isinstance(one, PenstockError)]
        if refusals and len(refusals) == len(self._found):
            raise refusals[0]

    def _of(self, order: RunOrder) -> Callable[[Any], list[Fault]] | PenstockError:
        try:
            return self._intake.input_check(self._agent, self._identity, order)
        except PenstockError as error:
            return error


def _order(text: bytes) -> RunOrder:
    """An object with a field `input` is an order; everything else is an input."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        fault = Fault("request body", 0, 0, "", f"not JSON: {error}", "one JSON value a line")
        raise Invalid("not JSON", where="request body", faults=[fault]) from None
    if isinstance(document, dict) and "input" in document:
        return order_of(document)
    return RunOrder(document)


def _placed(faults: Iterable[Fault], line: int) -> list[Fault]:
    return [replace(fault, path="request body", line=line, column=1) for fault in faults]
