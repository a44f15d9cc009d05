"""JSON that a caller sent: read from a body, and refused with every fault at once."""

from collections.abc import Sequence
from typing import Any

import orjson

from penstock.errors import Fault, Invalid, WrongUse

BODY = "request body"


def parse_body(body: bytes, such_as: str) -> Any:
    """The JSON value in a body; raises `WrongUse` when there is none, with an example of what is wanted."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WrongUse(f"not JSON: {error}", where=BODY, now=f"send {such_as}") from None


def refuse_faults(faults: Sequence[Fault], where: str = BODY) -> None:
    """Raises `Invalid` with all of the faults, if there are any."""
    if faults:
        what = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise Invalid(what, where=where, now="mend them all", faults=faults)
