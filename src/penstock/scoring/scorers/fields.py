"""Scorer `fields`: rules for values of the artifact, each at a JSON path."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from penstock.contracts.canonical import canonical
from penstock.contracts.document import Spec
from penstock.contracts.json_path import selected_values
from penstock.contracts.pattern import is_found
from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import JsonPath, Pattern, expected_of, lacking, short

PREDICATES = frozenset(
    {"equals", "one_of", "expected_path", "matches", "minimum", "maximum", "min_length", "max_length"}
)
COUNTS = frozenset({"min_items", "max_items"})


class FieldRule(Spec):
    """What must hold of every value at a path; at least one predicate."""

    path: JsonPath = Field(description="RFC 9535 JSON path of the output, such as $.testCases[*].title.")
    equals: Any = Field(None, description="The value itself; null counts once it is written.")
    one_of: list[Any] | None = Field(None, min_length=1, description="The values that are allowed.")
    expected_path: JsonPath | None = Field(None, description="Equals what the case's `expected` has there.")
    matches: Pattern | None = Field(None, description="Linear-time regular expression that the text contains.")
    minimum: float | None = Field(None, description="Least number.")
    maximum: float | None = Field(None, description="Greatest number.")
    min_length: int | None = Field(None, ge=0, description="Least length of a text or a list.")
    max_length: int | None = Field(None, ge=0, description="Greatest length of a text or a list.")
    min_items: int | None = Field(None, ge=0, description="Least number of selected values; 1 where none is said.")
    max_items: int | None = Field(None, ge=0, description="Greatest number of selected values.")

    @model_validator(mode="after")
    def _says_something(self) -> "FieldRule":
        if not self.model_fields_set & (PREDICATES | COUNTS):
            raise ValueError(f"{self.path}: nothing is asked; write equals, oneOf, matches, minimum, minItems, ...")
        return self


def _some(rules: list[FieldRule]) -> list[FieldRule]:
    if not rules:
        raise ValueError("no rule, so nothing is asked")
    return rules


@scorer("fields", kind="assertion", revision=1)
def fields(scored: Scored, *, expect: Annotated[list[FieldRule], AfterValidator(_some)]) -> Score:
    """Whether every rule holds; a path that selects nothing breaks its rule unless `minItems: 0` allows it."""
    unmet = [fault for rule in expect for fault in _unmet(rule, scored)]
    return Score(not unmet, unmet[0] if unmet else "", {"unmet": unmet[:100]} if unmet else {})


def _unmet(rule: FieldRule, scored: Scored) -> Iterator[str]:
    try:
        selected = selected_values(rule.path, scored.trial.output)
    except ValueError as error:
        raise lacking(scored.case, f"the output: {error}") from None
    least = rule.min_items if rule.min_items is not None else 0 if rule.max_items == 0 else 1
    if len(selected) < least:
        yield f"{rule.path} selects {len(selected)} values, at least {least} expected"
    if rule.max_items is not None and len(selected) > rule.max_items:
        yield f"{rule.path} selects {len(selected)} values, at most {rule.max_items} expected"
    wanted = expected_of(scored, None, rule.expected_path) if rule.expected_path is not None else None
    for value in selected:
        for what in _wrong(rule, value, wanted):
            yield f"{rule.path} is {short(value)}, {what}"


def _wrong(rule: FieldRule, value: Any, wanted: Any) -> Iterator[str]:
    if "equals" in rule.model_fields_set and not _same(value, rule.equals):
        yield f"{short(rule.equals)} expected"
    if rule.expected_path is not None and not _same(value, wanted):
        yield f"{short(wanted)} expected"
    if rule.one_of is not None and not any(_same(value, one) for one in rule.one_of):
        yield f"none of {short(rule.one_of)}"
    if rule.matches is not None and not (isinstance(value, str) and is_found(rule.matches, value)):
        yield f"which does not contain {rule.matches!r}"
    yield from _out_of_range(rule, value)


def _out_of_range(rule: FieldRule, value: Any) -> Iterator[str]:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if (rule.minimum is not None or rule.maximum is not None) and number is None:
        yield "a number expected"
    elif number is not None and rule.minimum is not None and number < rule.minimum:
        yield f"at least {rule.minimum:g} expected"
    elif number is not None and rule.maximum is not None and number > rule.maximum:
        yield f"at most {rule.maximum:g} expected"
    if rule.min_length is None and rule.max_length is None:
        return
    if not isinstance(value, str | list):
        yield "a text or a list expected"
    elif rule.min_length is not None and len(value) < rule.min_length:
        yield f"a length of at least {rule.min_length} expected"
    elif rule.max_length is not None and len(value) > rule.max_length:
        yield f"a length of at most {rule.max_length} expected"


def _same(one: Any, other: Any) -> bool:
    return canonical(one) == canonical(other)
