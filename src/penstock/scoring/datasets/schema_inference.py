"""The JSON Schema that a set of inputs has in common: what a new dataset begins with, for its owner to narrow."""

from collections.abc import Sequence
from typing import Any

from penstock.scoring.datasets.columns import json_type


def inferred_schema(values: Sequence[Any]) -> dict[str, Any]:
    """A schema that every value fits: types, properties with those that all have as required, items of lists."""
    kinds = sorted({json_type(value) for value in values})
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        schema |= _of_objects(objects)
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        schema["items"] = inferred_schema(items)
    return schema


def _of_objects(objects: list[dict[str, Any]]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for one in objects for name in one))
    return {
        "required": [name for name in names if all(name in one for one in objects)],
        "additionalProperties": False,
        "properties": {name: inferred_schema([one[name] for one in objects if name in one]) for name in names},
    }
