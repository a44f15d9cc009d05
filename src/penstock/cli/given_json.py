"""A JSON value that an option gives: itself, or the file or the stdin that holds it."""

import sys
from pathlib import Path
from typing import Any

import orjson

from penstock.errors import WrongUse

MAX_BYTES = 1 << 20


def read_json(source: str, option: str, such_as: str) -> Any:
    """The value that `source` gives: JSON, a file of it, or - for stdin; at most 1 MiB.

    Raises `WrongUse` if it cannot be read or is no JSON; `such_as` then shows what it should be.
    """
    where = "stdin" if source == "-" else source
    if source.lstrip()[:1] in {"{", "[", '"'}:
        text, where = source.encode(), option
    elif source == "-":
        text = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        try:
            with Path(source).open("rb") as file:
                text = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise WrongUse(f"cannot be read: {why}", where=source, now="give a file, - or JSON") from None
    if len(text) > MAX_BYTES:
        raise WrongUse(f"is over {MAX_BYTES} bytes", where=where, now="an executor takes no larger one either")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise WrongUse(f"not JSON: {error}", where=where, now=such_as) from None
