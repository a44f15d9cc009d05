"""Numbers of a requirement with what limits them, and the values on both sides of each."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Bound = Literal["most", "below", "least", "above", "exact"]

_WORDS: tuple[tuple[Bound, str], ...] = (
    (
        "most",
        r"at most|up to|no more than|not more than|a maximum of|maximum|max\.?|within|not exceed|<=|≤|"
        r"höchstens|maximal|bis zu|innerhalb von|nicht mehr als|au plus|como máximo",
    ),
    (
        "least",
        r"at least|no less than|not less than|no fewer than|not fewer than|a minimum of|minimum|min\.?|>=|≥|"
        r"mindestens|minimal|au moins|al menos",
    ),
    ("below", r"less than|fewer than|under|below|<|weniger als|unter|moins de|menos de"),
    (
        "above",
        r"more than|greater than|longer than|larger than|over|above|beyond|exceed(?:s|ing)?|after|>|"
        r"mehr als|über|länger als|nach|plus de|más de",
    ),
    ("exact", r"exactly|precisely|genau|exactement|exactamente"),
)
_COMPARATOR = "|".join(f"(?P<{name}>{words})" for name, words in _WORDS)
_AMOUNT = r"(?<![\w.:/-])(?P<number>\d{1,3}(?:,\d{3})+|\d{1,15}(?:\.\d{1,9})?)(?![\d:]|[.,/-]\w)"
_UNIT = r"(?:[ -]?(?P<unit>%|(?:[a-z]{3,20}ed )?[^\W\d_]{1,24}))?"
_NUMBER = re.compile(rf"(?:(?<!\w)(?:{_COMPARATOR})\s*(?:the\s+)?)?" + _AMOUNT + _UNIT, re.IGNORECASE)
_NAMES_NO_AMOUNT = re.compile(
    r"(?:status|code|error|http|https|rfc|iso|version|v|port|section|page|table|chapter|no\.?|nr\.?|id|step|sha|utf|"
    r"python|tls)[ -]?$",
    re.IGNORECASE,
)
_DURATION = re.compile(
    r"^(?:ms|s|sec|secs|seconds?|min|mins|minutes?|h|hours?|days?|weeks?|months?|milliseconds?|"
    r"Sekunden?|Minuten?|Stunden?|Tage?n?|Wochen?)$",
    re.IGNORECASE,
)
_NOT_A_UNIT = frozenset(
    {"and", "or", "of", "to", "in", "on", "at", "by", "the", "a", "is", "are", "und", "oder", "von"}
)
_KEPT = 4


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as the text says it (`at most 5 attempts`)."""

    stated: str
    value: Decimal
    unit: str
    bound: Bound

    @property
    def is_duration(self) -> bool:
        """Whether it is an amount of time."""
        return _DURATION.match(self.unit) is not None

    @property
    def inside(self) -> tuple[str, ...]:
        """The outermost values that the statement still covers."""
        edge = {"below": -1, "above": 1}.get(self.bound, 0)
        return (self._say(self.value + edge * self._step),)

    @property
    def outside(self) -> tuple[str, ...]:
        """The nearest values that the statement does not cover; below zero there is none."""
        shifts = {"most": (1,), "below": (0,), "least": (-1,), "above": (0,), "exact": (-1, 1)}[self.bound]
        values = (self.value + shift * self._step for shift in shifts)
        return tuple(self._say(value) for value in values if value >= 0)

    @property
    def limit(self) -> str:
        """The number with its unit."""
        return self._say(self.value)

    @property
    def _step(self) -> Decimal:
        exponent = self.value.as_tuple().exponent
        return Decimal(1).scaleb(min(0, exponent)) if isinstance(exponent, int) else Decimal(1)

    def _say(self, value: Decimal) -> str:
        unit = "" if not self.unit else self.unit if self.unit == "%" else f" {self.unit}"
        return f"{value:,}{unit}"


def quantities(sentence: str) -> tuple[Quantity, ...]:
    """The amounts of a sentence, at most four; version numbers, dates and status codes are none."""
    found: dict[str, Quantity] = {}
    for match in _NUMBER.finditer(sentence):
        if _NAMES_NO_AMOUNT.search(sentence[: match.start("number")]):
            continue
        unit = match["unit"] or ""
        unit = "" if unit.lower() in _NOT_A_UNIT else unit
        bound: Bound = next((name for name, _ in _WORDS if match[name]), "exact")
        stated = match[0].removesuffix(match["unit"] or "").strip(" -") if not unit else match[0].strip()
        value = Decimal(match["number"].replace(",", ""))
        quantity = Quantity(stated, value, unit, bound)
        found.setdefault(quantity.limit, quantity)
    return tuple(found.values())[:_KEPT]
