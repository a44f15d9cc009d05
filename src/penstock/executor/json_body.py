"""JSON that a caller sent: read from a body, held against a schema, and refused with every fault at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from penstock.contracts.canonical import canonical
from penstock.engine.shape import Shape
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


def require_fit(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raises `Invalid` for what has no canonical form, and with every fault of what breaks the schema."""
    try:
        canonical(value)
    except (ValueError, TypeError) as error:
        raise Invalid(f"it is not JSON: {error}", where=where, now="mend it") from None
    refuse_faults(Shape(schema, where).faults(value), where)
