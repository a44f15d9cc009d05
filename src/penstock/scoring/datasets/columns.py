"""The columns of a dataset: every path by names through its cases, and what is asked of each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.contracts.dataset import ColumnCheck, DatasetSpec

# What is text to people or to Penstock rather than a value to be compared: never a column of its own.
_NOT_COMPARED = frozenset({"id", "cluster", "fixtures", "history"})
_PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null", list: "array"}
_LIMITS = {
    "minLength": "minLength",
    "maxLength": "maxLength",
    "minItems": "minLength",
    "maxItems": "maxLength",
    "minimum": "minimum",
    "maximum": "maximum",
}


class Missing:
    """The value of a column that a case does not have."""


MISSING = Missing()


def json_type(value: Any) -> str:
    """The JSON type of a value; an integral number is an integer."""
    return _PLAIN.get(type(value), "object")


def value_at(document: Mapping[str, Any], column: str) -> Any:
    """The value of a column in a case, `MISSING` where the case does not have it. Names may hold dots."""
    value: Any = document
    names = column.split(".")
    while names:
        if not isinstance(value, Mapping):
            return MISSING
        for length in range(len(names), 0, -1):
            name = ".".join(names[:length])
            if name in value:
                value, names = value[name], names[length:]
                break
        else:
            return MISSING
    return value


def compared_columns(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that a distribution can be made of: plain values and lists, in the order of their coming."""
    found: dict[str, None] = {}
    for document in documents:
        for name, value in document.items():
            if name not in _NOT_COMPARED:
                found.update(dict.fromkeys(_leaves(name, value)))
    return list(found)


def checked_columns(spec: DatasetSpec) -> dict[str, ColumnCheck]:
    """What is asked of each column: what the schema says of the input, and over it what `checks` declares."""
    asked = dict(_from_schema("input", spec.schema_, required=True))
    for column, check in spec.checks.columns.items():
        if column in asked:
            declared = check.model_dump(by_alias=True, exclude_unset=True)
            check = ColumnCheck.model_validate({**_written(asked[column]), **declared})
        asked[column] = check
    return asked


def _written(check: ColumnCheck) -> dict[str, Any]:
    return check.model_dump(by_alias=True, exclude_unset=True)


def _leaves(column: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{column}.{name}", inner)
    else:
        yield column


def _from_schema(column: str, schema: Any, *, required: bool) -> Iterator[tuple[str, ColumnCheck]]:
    """What a schema says of a column and of those below it; the rest of it is judged by the schema itself."""
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("properties"), dict):
        needed = schema.get("required", [])
        for name, inner in schema["properties"].items():
            yield from _from_schema(f"{column}.{name}", inner, required=required and name in needed)
        return
    said: dict[str, Any] = {"required": required}
    if isinstance(schema.get("type"), str):
        said["type"] = schema["type"]
    for theirs, ours in _LIMITS.items():
        if _is_number(schema.get(theirs)):
            said[ours] = int(schema[theirs]) if ours.endswith("Length") else schema[theirs]
    words = schema.get("enum")
    if isinstance(words, list) and words and all(isinstance(word, (str, int, float)) for word in words):
        said["oneOf"] = words
    yield column, ColumnCheck.model_validate(said)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
