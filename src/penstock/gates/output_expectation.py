"""Expectations of an output: values at a JSON path (RFC 9535) and what must hold of them.

Suites are written by many teams and judged in the driver, so nothing in them may run away: patterns are linear-time
regular expressions (no look-around, no back-references), paths are bounded, and so is what they may select.
"""

import functools
from collections.abc import Sequence
from itertools import islice
from typing import Any

import jsonschema_rs
from jsonpath import JSONPathEnvironment, JSONPathError
from jsonpath.path import JSONPath

from penstock.contracts.canonical import canonical
from penstock.contracts.suite import OutputExpectation

PATH_LENGTH = 500
DESCENTS = 2
SELECTED = 10_000
PATTERN_LENGTH = 1_000
TEXT_LENGTH = 100_000
SHOWN = 200


@functools.cache
def _paths() -> JSONPathEnvironment:
    environment = JSONPathEnvironment(strict=True)
    for backtracking in ("match", "search"):
        environment.function_extensions.pop(backtracking, None)
    return environment


@functools.lru_cache(maxsize=1_000)
def _pattern(text: str) -> jsonschema_rs.Validator:
    schema = {"type": "string", "pattern": text}
    return jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions(size_limit=1_000_000))


def expectation_faults(expected: OutputExpectation) -> list[str]:
    """What is wrong with the expectation itself, whatever the output: one sentence each."""
    faults = []
    try:
        _compiled(expected.path)
    except JSONPathError as error:
        faults.append(f"path {expected.path!r} is no JSON path: {str(error).splitlines()[0]}")
    written = expected.model_fields_set & {"equals", "matches", "min_items", "max_items"}
    if not written:
        faults.append(f"{expected.path}: nothing is expected; write equals, matches, minItems or maxItems")
    if expected.matches is not None:
        faults += _pattern_faults(expected.matches)
    return faults


def output_faults(expected: Sequence[OutputExpectation], output: Any) -> list[str]:
    """One sentence for each expectation that the output does not meet."""
    return [fault for one in expected for fault in _unmet(one, output)]


def _compiled(path: str) -> JSONPath:
    if len(path) > PATH_LENGTH or path.count("..") > DESCENTS:
        raise JSONPathError(f"longer than {PATH_LENGTH} characters or more than {DESCENTS} descents (..)")
    compiled = _paths().compile(path)
    assert isinstance(compiled, JSONPath)
    return compiled


def _pattern_faults(pattern: str) -> list[str]:
    if len(pattern) > PATTERN_LENGTH:
        return [f"a pattern is longer than {PATTERN_LENGTH} characters"]
    try:
        _pattern(pattern)
    except jsonschema_rs.ValidationError:
        return [f"pattern {pattern!r} is no linear-time regular expression (no look-around, no back-references)"]
    return []


def _unmet(expected: OutputExpectation, output: Any) -> list[str]:
    selected = [match.obj for match in islice(_compiled(expected.path).finditer(output), SELECTED + 1)]
    if len(selected) > SELECTED:
        return [f"{expected.path} selects more than {SELECTED} values"]
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
    return isinstance(value, str) and len(value) <= TEXT_LENGTH and _pattern(pattern).is_valid(value)


def _short(value: Any) -> str:
    text = canonical(value).decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
