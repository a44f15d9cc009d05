"""What the headers of a run request ask of its acceptance: `Prefer: respond-async` and `Idempotency-Key`."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.errors import WrongUse
from penstock.store.idempotency import IdempotencyKey

MAX_KEY_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Wish:
    """How a request is to be accepted; a plain one has none."""

    is_async: bool
    key: str | None

    def bound_to(self, *asked: Any) -> IdempotencyKey | None:
        """The key with the digest of what was asked; equal JSON is the same request, however it is written."""
        if self.key is None:
            return None
        body = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
        return IdempotencyKey(self.key, f"sha256:{hashlib.sha256(body).hexdigest()}")


NO_WISH = Wish(is_async=False, key=None)
"""Of a run that is accepted first although its caller did not ask for that."""


def read_wish(headers: Iterable[tuple[bytes, bytes]]) -> Wish | None:
    """The wish; None where a request is a plain one. Raises `WrongUse` for a key that is none."""
    is_async, key = False, None
    for name, value in headers:
        if name == b"prefer":
            is_async = is_async or _prefers_async(value)
        elif name == b"idempotency-key":
            key = _key(value)
    return Wish(is_async, key) if is_async or key is not None else None


def _prefers_async(value: bytes) -> bool:
    preferences = value.decode("latin-1").lower().split(",")
    return any(preference.partition(";")[0].strip() == "respond-async" for preference in preferences)


def _key(value: bytes) -> str:
    """A key as it is, or as the quoted string that the header's draft standard writes."""
    text = value.decode("latin-1").strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not (0 < len(text) <= MAX_KEY_CHARACTERS and text.isascii() and text.isprintable()):
        what = f"must be 1 to {MAX_KEY_CHARACTERS} printable characters"
        raise WrongUse(what, where="Idempotency-Key", now="a UUID is a good key")
    return text
