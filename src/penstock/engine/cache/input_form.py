"""The form of an input: what of it must be equal, and which texts may be said in other words."""

import re
from dataclasses import dataclass
from typing import Any

from penstock.contracts.canonical import digest

LONGEST = 8_000
"""Characters: an input with a longer text is compared for equality alone."""

_NUMBERS = re.compile(r"\d+")
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class InputForm:
    """`skeleton` is the digest of everything but `texts`: keys, numbers, truth values, strings without a letter."""

    skeleton: str
    texts: tuple[str, ...]

    @classmethod
    def of(cls, value: Any) -> "InputForm":
        """The form of a JSON value."""
        texts: list[str] = []
        skeleton = digest({"input": _skeleton(value, texts)})
        return cls(skeleton, tuple(texts))

    @property
    def is_comparable(self) -> bool:
        """Whether there are texts, and none too long, to compare by their meaning."""
        return bool(self.texts) and all(len(text) <= LONGEST for text in self.texts)

    def may_mean(self, other: "InputForm") -> bool:
        """Whether no text tells the two apart that vectors of words could not: other numbers, or another order."""
        pairs = zip(self.texts, other.texts, strict=True)
        return self.skeleton == other.skeleton and all(_may_mean(*pair) for pair in pairs)


def _skeleton(value: Any, texts: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _skeleton(value[key], texts) for key in sorted(value)}
    if isinstance(value, list):
        return [_skeleton(one, texts) for one in value]
    if isinstance(value, str) and any(map(str.isalpha, value)):
        texts.append(value)
        return None
    return value


def _may_mean(one: str, other: str) -> bool:
    if _NUMBERS.findall(one) != _NUMBERS.findall(other):
        return False
    words, others = _WORDS.findall(one.casefold()), _WORDS.findall(other.casefold())
    return words == others or sorted(words) != sorted(others)
