"""Canonical JSON (RFC 8785) and the digests made of it: a release's identity."""

import hashlib
import re
from itertools import repeat
from typing import Any

import orjson
import rfc8785

_SAFE_INTEGER = 2**53 - 1
_DEEPEST = 250
"""Levels. orjson writes no more than 254, and what else reads a value cannot go deeper than Python's stack."""
_NESTED = (dict, list, tuple)
_SURROGATE_SPACE = re.compile("[\ue000-\U0010ffff]")


def canonical(value: Any) -> bytes:
    """`value` as RFC 8785 bytes; raises `ValueError` for what JSON cannot say (NaN, integers beyond 2^53).

    What is nested deeper than 250 levels is such a value too.
    Values without floats and unusual keys take a faster writer that gives the same bytes (a property test says so).
    """
    try:
        if _is_plain(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def digest(value: Any) -> str:
    """`sha256:<hex>` of the canonical JSON of `value`."""
    return digest_bytes(canonical(value))


def digest_bytes(data: bytes) -> str:
    """`sha256:<hex>` of `data` as it is."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _is_plain(value: Any, left: int = _DEEPEST) -> bool:
    """Whether orjson's writer gives the canonical bytes; raises `RecursionError` for more than `left` levels."""
    kind = type(value)
    if kind is str:
        return True
    if kind in _NESTED and not left:
        raise RecursionError
    if kind is dict:
        for key, item in value.items():  # a loop: `all` over a generator takes twice the time
            if type(key) is not str or not (key.isascii() or not _SURROGATE_SPACE.search(key)):
                return False
            if type(item) is not str and not _is_plain(item, left - 1):
                return False
        return True
    if kind in _NESTED:
        return all(map(_is_plain, value, repeat(left - 1)))
    if kind is int:
        return bool(-_SAFE_INTEGER <= value <= _SAFE_INTEGER)
    return value is None or kind is bool
