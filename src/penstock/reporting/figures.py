"""Numbers as a report writes them: few digits, a sign where it is a difference, a word where there is none."""

import math
from collections.abc import Iterator
from typing import Any

from penstock.reporting.visible_text import as_json

NONE = "not known"
MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 3) -> str:
    """A plain number with at most `digits` decimals, more where it takes them to see something; thousands grouped."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else f"{_sign(value)}infinite"
    if abs(value) >= 10_000 or value == int(value):
        return f"{_sign(value)}{abs(value):,.0f}"
    if abs(value) < 10 ** (1 - digits):
        return f"{_sign(value)}{abs(value):.2g}"
    text = f"{abs(value):.{digits}f}" if abs(value) < 100 else f"{abs(value):,.1f}"
    return f"{_sign(value)}{text.rstrip('0').rstrip('.')}"


def signed(value: float | None) -> str:
    """A difference: always with its sign, three decimals."""
    if value is None or not math.isfinite(value):
        return number(value)
    return f"{_sign(value) or '+'}{abs(value):.3f}" if round(value, 3) else "0.000"


def percent(value: float | None) -> str:
    """A share (0..1) in percent."""
    return NONE if value is None else f"{number(value * 100, 1)} %"


def usd(value: float | None) -> str:
    """US dollars: cents where there are any, else as many digits as it takes to see something."""
    if value is None or not math.isfinite(value):
        return number(value)
    return f"${value:,.2f}" if abs(value) >= 1 or value == 0 else f"${value:.4f}" if value >= 0.001 else f"${value:.2g}"


def milliseconds(value: float | None) -> str:
    """A duration, from milliseconds; seconds from ten thousand on."""
    if value is None or not math.isfinite(value):
        return number(value)
    return f"{value / 1000:,.1f} s" if value >= 10_000 else f"{value:,.0f} ms" if value >= 10 else f"{value:.2g} ms"


def ratio(value: float | None) -> str:
    """A factor against production: ×1.04."""
    return NONE if value is None else f"×{value:.2f}" if math.isfinite(value) else number(value)


def interval(lower: float | None, upper: float | None, text: Any = number) -> str:
    """`[lower, upper]`, each written by `text`; without an upper bound `[lower, ∞)`; empty where there is none."""
    if lower is None:
        return ""
    return f"[{text(lower)}, ∞)" if upper is None else f"[{text(lower)}, {text(upper)}]"


def count(n: int, noun: str, plural: str = "") -> str:
    """`1 case`, `2 cases`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def pairs(value: Any, most: int = 8, nested: bool = True) -> list[tuple[str, str]]:
    """What a gate measured or was asked, as names with their values; nulls are left out.

    Names of `nested` objects are joined to theirs; without it such objects are left to where they are shown.
    """
    if isinstance(value, dict) and not nested:
        value = {name: one for name, one in value.items() if not isinstance(one, dict)}
    found = list(_flat("", value))
    more = [("", f"and {len(found) - most} more")] if len(found) > most else []
    return [*found[:most], *more]


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _flat(f"{name} {key}".strip(), one)
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    elif value is not None:
        yield name, short_value(value) if isinstance(value, str | int | float) else as_json(value)


def short_value(value: Any) -> str:
    """A score as a table cell holds it: yes or no, a number, a word; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return number(value) if isinstance(value, int | float) else str(value)


def _sign(value: float) -> str:
    return MINUS if value < 0 else ""
