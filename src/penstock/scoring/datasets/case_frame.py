"""The table of a dataset's cases, and what is expected of it: by every dataset, by its schema, by its own `checks`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import ColumnCheck, Dataset, DatasetCheck
from penstock.contracts.json_schema import instance_faults
from penstock.governance.redaction import Found, redact
from penstock.registry.case_lines import CaseLine
from penstock.registry.document_faults import pointer
from penstock.scoring.datasets.columns import MISSING, checked_columns, json_type, value_at
from penstock.scoring.datasets.expectations import Expected, Note

NOT_NULL = "expect_column_values_to_not_be_null"
NULL = "expect_column_values_to_be_null"
UNIQUE = "expect_column_values_to_be_unique"
IN_SET = "expect_column_values_to_be_in_set"
BETWEEN = "expect_column_values_to_be_between"
_QUESTION = ("input", "history", "context", "fixtures", "answer")
Table = dict[str, list[Any]]


def always_expected(dataset: Dataset, lines: Sequence[CaseLine], frame: Table) -> Iterator[Expected]:
    """What every dataset must hold; the columns that it is judged by are put into `frame`, which has `id`."""
    yield Expected(UNIQUE, "id", "id", "each id once")
    frame["question"] = [digest({key: one.document.get(key) for key in _QUESTION}) for one in lines]
    yield Expected(UNIQUE, "question", "input", "no case twice")
    frame["schema"] = [_schema_faults(dataset, one) for one in lines]
    yield Expected(NULL, "schema", "input", "fits the dataset's schema")
    found = [redact(one.document).found for one in lines]
    frame["secrets"] = [_listed(one for one in each if one.kind == "KEY") for each in found]
    yield Expected(NULL, "secrets", "", "no secrets")
    allowed = dataset.spec.checks
    frame["personal"] = [_listed(one for one in each if not _is_allowed(one, allowed)) for each in found]
    reasons = "".join(f"; {one.kind} allowed in {one.column}: {one.reason}" for one in allowed.allow)
    yield Expected(NULL, "personal", "", f"no personal data{reasons}")


def declared_expected(dataset: Dataset, lines: Sequence[CaseLine], frame: Table) -> Iterator[Expected]:
    """What the schema says of the columns of the input, and `checks` of any column; fills `frame` as well."""
    for column, check in checked_columns(dataset.spec).items():
        values = [value_at(one.document, column) for one in lines]
        if column in dataset.spec.checks.columns and all(value is MISSING for value in values):
            frame[f"{column} anywhere"] = [None] * len(lines)
            yield Expected(NOT_NULL, f"{column} anywhere", column, "some case has it")
            continue
        yield from _of_column(column, check, values, frame)


def _of_column(column: str, check: ColumnCheck, values: list[Any], frame: Table) -> Iterator[Expected]:
    if check.required:
        frame[f"{column} there"] = [None if value is MISSING else True for value in values]
        yield Expected(NOT_NULL, f"{column} there", column, "every case has it")
    if check.type is not None:
        types = [check.type, "integer"] if check.type == "number" else [check.type]
        frame[f"{column} type"] = [None if value is MISSING else json_type(value) for value in values]
        yield Expected(IN_SET, f"{column} type", column, f"type {check.type}", {"value_set": types})
    if check.one_of is not None:
        frame[f"{column} word"] = [None if value is MISSING else _word(value) for value in values]
        words = [_word(word) for word in check.one_of]
        yield Expected(
            IN_SET,
            f"{column} word",
            column,
            f"one of {', '.join(words)}",
            {"value_set": words},
        )
    if (check.min_length, check.max_length) != (None, None):
        frame[f"{column} length"] = [len(value) if isinstance(value, (str, list)) else None for value in values]
        limits = {"min_value": check.min_length, "max_value": check.max_length}
        yield _between(f"{column} length", column, "length ", limits)
    if (check.minimum, check.maximum) != (None, None):
        frame[f"{column} number"] = [value if json_type(value) in {"integer", "number"} else None for value in values]
        yield _between(f"{column} number", column, "", {"min_value": check.minimum, "max_value": check.maximum})


def _between(frame_column: str, column: str, what: str, limits: dict[str, Any]) -> Expected:
    low, high = limits["min_value"], limits["max_value"]
    asked = f"{what}{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
    return Expected(BETWEEN, frame_column, column, asked, limits)


def _word(value: Any) -> str:
    """A value as JSON: so that 1, true and "1" are three."""
    return orjson.dumps(value).decode()


def _schema_faults(dataset: Dataset, one: CaseLine) -> Note | None:
    """What of the input breaks the schema; a message quotes the value, so it is redacted."""
    found = instance_faults(dataset.spec.schema_, one.case.input)
    faults = [f"{pointer(('input', *where))}: {what}" for where, what in found]
    return Note(redact("; ".join(faults)).value) if faults else None


def _listed(found: Iterable[Found]) -> Note | None:
    text = ", ".join(str(one) for one in found)
    return Note(text) if text else None


def _is_allowed(found: Found, check: DatasetCheck) -> bool:
    if found.kind == "KEY":
        return True  # told apart, and never allowed there
    return any(
        one.kind == found.kind
        and (found.where == one.column or found.where.startswith((f"{one.column}.", f"{one.column}[")))
        for one in check.allow
    )
