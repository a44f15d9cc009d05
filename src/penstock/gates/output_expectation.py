"""Expectations of an output: values at a JSON path (RFC 9535) and what must hold of them.

Suites are written by many teams and judged in the driver, so nothing in them may run away: patterns are linear-time
regular expressions (no look-around, no back-references), paths are bounded, and so is what they may select.
"""

from collections.abc import Sequence
from typing import Any

from penstock.contracts.canonical import canonical
from penstock.contracts.json_path import TooManySelected, path_fault, selected_values
from penstock.contracts.pattern import is_found, pattern_fault
from penstock.contracts.suite import OutputExpectation

SHOWN = 200


def expectation_faults(expected: OutputExpectation) -> list[str]:
    """What is wrong with the expectation itself, whatever the output: one sentence each."""
    faults = [fault for fault in [path_fault(expected.path)] if fault is not None]
    written = expected.model_fields_set & {"equals", "matches", "min_items", "max_items"}
    if not written:
        faults.append(f"{expected.path}: nothing is expected; write equals, matches, minItems or maxItems")
    broken = pattern_fault(expected.matches) if expected.matches is not None else None
    return faults if broken is None else [*faults, broken]


def output_faults(expected: Sequence[OutputExpectation], output: Any) -> list[str]:
    """One sentence for each expectation that the output does not meet."""
    return [fault for one in expected for fault in _unmet(one, output)]


def _unmet(expected: OutputExpectation, output: Any) -> list[str]:
    try:
        selected = selected_values(expected.path, output)
    except TooManySelected as error:
        return [str(error)]
    return [*_count_faults(expected, len(selected)), *_value_faults(expected, selected)]


def _count_faults(expected: OutputExpectation, count: int) -> list[str]:
    # A path that selects nothing meets no expectation by accident: a renamed field is a fault, unless 0 is allowed.
    least = 1 if expected.min_items is None and expected.max_items != 0 else expected.min_items or 0
    if count < least:
        return [f"{expected.path} selects {count} values, at least {least} expected"]
    if expected.max_items is not None and count > expected.max_items:
        return [f"{expected.path} selects {count} values, at most {expected.max_items} expected"]
    return []


def _value_faults(expected: OutputExpectation, selected: Sequence[Any]) -> list[str]:
    faults = []
    for value in selected:
        if expected.has_equals and canonical(value) != canonical(expected.equals):
            faults.append(f"{expected.path} is {_short(value)}, {_short(expected.equals)} expected")
        if expected.matches is not None and not _contains(expected.matches, value):
            faults.append(f"{expected.path} is {_short(value)}, which does not contain {expected.matches!r}")
    return faults


def _contains(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and is_found(pattern, value)


def _short(value: Any) -> str:
    text = canonical(value).decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
