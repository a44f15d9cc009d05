"""Redaction: the one sink through which text passes before it is stored or shown outside of its run.

Whatever a finder marks is replaced as a whole by the name of its kind. What cannot be judged is an error and is never
passed on: redaction fails closed.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from penstock.errors import Unavailable
from penstock.governance.national_id import find_national_ids
from penstock.governance.personal_data import find_accounts, find_cards, find_mails
from penstock.governance.phone_number import find_phones
from penstock.governance.secrets_scan import found_secrets

Kind = Literal["KEY", "IBAN", "CREDIT_CARD", "EMAIL", "SSN", "PHONE"]

# Where two findings touch, the earlier kind names both.
_KINDS: tuple[Kind, ...] = ("KEY", "EMAIL", "IBAN", "CREDIT_CARD", "SSN", "PHONE")
_NUMBERS: frozenset[Kind] = frozenset({"IBAN", "CREDIT_CARD", "SSN", "PHONE"})
_DIGIT = re.compile(r"\d")
_DEEPEST = 200
_MOST_PASSES = 20
_LONGEST_LABEL = 60
_LONGEST_KEY_SHOWN = 60

_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)", re.DOTALL
)
_JWT = re.compile(r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")
_REST = re.compile(r"[A-Za-z0-9_\-+/=.~%]*")
_CREDENTIAL = re.compile(
    r"(?i)(?:[a-z0-9]+[_-])*?(?:passw(?:or)?d|passwort|passphrase|pwd|api[_-]?key|client[_-]?secret|private[_-]?key"
    r"|secret[_-]?key|access[_-]?key|(?:access|refresh|auth|bearer|session)[_-]?token|authorization)"
)
_CREDENTIAL_VALUE = re.compile(r"(?i)(?:(?:bearer|basic|token)\s)?\S{4,}")

# Ways of writing a letter that would hide what it is part of: escapes of JSON and URLs, signs without width.
_HIDDEN = re.compile("\\\\u[0-9a-fA-F]{4}|\\\\[nrtbf]|%(?:40|2[0Bb])|[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_ALIKE = {
    **dict.fromkeys(map(chr, [0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000, 9, 10, 11, 12, 13]), " "),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-"),
    **{chr(0xFF01 + at): chr(0x21 + at) for at in range(94)},
    **{chr(0x0660 + at): str(at) for at in range(10)},
    **{chr(0x06F0 + at): str(at) for at in range(10)},
}
_FOLDED = str.maketrans(_ALIKE)


class NotRedacted(Unavailable):
    """A value that could not be redacted, so that nothing of it may be stored or shown."""

    slug = "not-redacted"


@dataclass(frozen=True, slots=True)
class Found:
    """One piece of sensitive data: its kind, and where it stood (`input.items[2].name`; empty = the value itself)."""

    kind: Kind
    where: str

    def __str__(self) -> str:
        return f"[{self.kind}] at {self.where}" if self.where else f"[{self.kind}]"


@dataclass(frozen=True, slots=True)
class Redacted:
    """A value in which everything found is replaced by its kind; equal to what was given where nothing was found."""

    value: Any
    found: tuple[Found, ...]

    @property
    def kinds(self) -> dict[str, int]:
        """Kind -> how many there were."""
        return dict(Counter(one.kind for one in self.found))


def redact(value: Any) -> Redacted:
    """Replaces e-mail addresses, phone numbers, cards, national ids, bank accounts and keys in a JSON value.

    Keys of objects count as text too, and name what stands below them: digits below `phone` are a phone number.
    Raises `NotRedacted`, which shows nothing of the value.
    """
    found: list[Found] = []
    try:
        return Redacted(_value(value, "", "", found, 0), tuple(found))
    except Exception as error:  # whatever it is: what was not judged is not passed on
        raise NotRedacted(
            f"the value cannot be redacted ({type(error).__name__}), so nothing of it is stored or shown",
            where="redaction",
            now="remove or shorten the value; it must be JSON",
        ) from None


def _value(value: Any, key: str, where: str, found: list[Found], depth: int) -> Any:
    if depth > _DEEPEST:
        raise RecursionError
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, key, where, found)
    if isinstance(value, (int, float)):
        return _number(value, key, where, found)
    if isinstance(value, dict):
        return _object(value, where, found, depth)
    if isinstance(value, (list, tuple)):
        return [_value(one, key, f"{where}[{at}]", found, depth + 1) for at, one in enumerate(value)]
    raise TypeError


def _object(value: dict[Any, Any], where: str, found: list[Found], depth: int) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, inner in value.items():
        if not isinstance(key, str):
            raise TypeError
        name = base = _text(key, "", where, found)
        count = 1
        while name in changed or (name != key and name in value):
            count += 1
            name = f"{base} {count}"
        place = f"{where}.{name}" if where else name
        changed[name] = _value(inner, base, place[: len(where) + _LONGEST_KEY_SHOWN], found, depth + 1)
    return changed


def _number(value: int | float, key: str, where: str, found: list[Found]) -> Any:
    """A number is what its digits are: a card's number without quotes is one too."""
    if isinstance(value, float) and not value.is_integer():
        return value
    written = str(int(value))
    replaced = _text(written, key, where, found)
    return value if replaced == written else replaced


def _text(text: str, key: str, where: str, found: list[Found]) -> str:
    if _CREDENTIAL.fullmatch(key) and _CREDENTIAL_VALUE.fullmatch(text) and not _is_redacted(text):
        found.append(Found("KEY", where))
        return "[KEY]"
    for _ in range(_MOST_PASSES):
        changed, kinds = _replaced(text, key)
        found += [Found(kind, where) for kind in kinds]
        if not kinds:
            return text
        text = changed  # what stood beside something found may be seen only now
    raise RecursionError


def _replaced(text: str, key: str) -> tuple[str, list[Kind]]:
    """The text without what is found in one look at it, and the kinds of that."""
    prefix = f"{_words(key)}: " if key else ""
    parts: list[str] = []
    kinds: list[Kind] = []
    end = 0
    for kind, start, stop in _merged(_spans(prefix + text)):
        if stop > len(prefix):
            parts += [text[end : max(start - len(prefix), 0)], f"[{kind}]"]
            kinds.append(kind)
            end = stop - len(prefix)
    return "".join([*parts, text[end:]]), kinds


def _words(key: str) -> str:
    """A key as the words that it is made of: `contactPhone` names a phone."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", key[-_LONGEST_LABEL:])


def _is_redacted(text: str) -> bool:
    return any(text == f"[{kind}]" for kind in _KINDS)


def _merged(spans: Iterator[tuple[int, int, int]]) -> Iterator[tuple[Kind, int, int]]:
    """Spans that overlap as one, so that nothing of either is left."""
    current: tuple[int, int, int] | None = None
    for rank, start, end in sorted(spans, key=lambda span: span[1:]):
        if current is not None and start < current[2]:
            current = (min(rank, current[0]), current[1], max(end, current[2]))
            continue
        if current is not None:
            yield _KINDS[current[0]], current[1], current[2]
        current = (rank, start, end)
    if current is not None:
        yield _KINDS[current[0]], current[1], current[2]


def _spans(text: str) -> Iterator[tuple[int, int, int]]:
    """(rank of the kind, start, end) of everything found, by place in the text as it was given."""
    folded, places = _fold(text)
    has_digit = _DIGIT.search(folded) is not None
    for kind, find in _FINDERS.items():
        if not has_digit and kind in _NUMBERS:
            continue
        for start, end in find(folded):
            rank = _KINDS.index(kind)
            yield (rank, start, end) if places is None else (rank, places[start], places[end])


def _fold(text: str) -> tuple[str, list[int] | None]:
    """The text with every letter in its plain form, and where each stood (None = where it stands)."""
    if not _HIDDEN.search(text):
        return text.translate(_FOLDED), None
    letters: list[str] = []
    places: list[int] = []
    end = 0
    for match in _HIDDEN.finditer(text):
        plain = _plain(match[0])
        letters += [*text[end : match.start()], *plain]
        places += [*range(end, match.start()), *([match.start()] * len(plain))]
        end = match.end()
    letters += text[end:]
    places += range(end, len(text) + 1)
    return "".join(letters).translate(_FOLDED), places


def _plain(hidden: str) -> str:
    if hidden.startswith("\\u"):
        return chr(int(hidden[2:], 16))
    if hidden.startswith("\\"):
        return " "
    return chr(int(hidden[1:], 16)) if hidden.startswith("%") else ""


def _find_keys(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_BLOCK, _JWT):
        for match in pattern.finditer(text):
            yield match.span()
    for _, start, end in found_secrets(text):
        rest = _REST.match(text, end)  # a key that is longer than what its pattern asks for goes as a whole
        yield start, rest.end() if rest else end


_FINDERS: dict[Kind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "KEY": _find_keys,
    "EMAIL": find_mails,
    "IBAN": find_accounts,
    "CREDIT_CARD": find_cards,
    "SSN": find_national_ids,
    "PHONE": find_phones,
}
