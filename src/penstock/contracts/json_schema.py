"""JSON Schemas inside specs: 2020-12 alone, no look-ups outside the schema, patterns that run in linear time."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MOST_CACHED = 4096

Where = tuple[str | int, ...]


class SchemaBroken(ValueError):
    """A schema that cannot be used; `faults` holds every (path inside the schema, what is wrong)."""

    def __init__(self, faults: list[tuple[Where, str]]) -> None:
        super().__init__("; ".join(what for _, what in faults))
        self.faults = faults


def compile_schema(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """The validator of a schema, kept for equal ones; raises `SchemaBroken`."""
    try:
        key = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise SchemaBroken([((), str(error))]) from None
    made = _compile(key)
    if isinstance(made, SchemaBroken):
        raise made
    return made


def instance_faults(schema: dict[str, Any], instance: Any) -> Iterator[tuple[Where, str]]:
    """Every (path inside the instance, what is wrong); raises `SchemaBroken`."""
    validator = compile_schema(schema)
    if validator.is_valid(instance):
        return
    for error in validator.iter_errors(instance):
        yield tuple(error.instance_path), error.message


@lru_cache(maxsize=_MOST_CACHED)
def _compile(text: bytes) -> jsonschema_rs.Draft202012Validator | SchemaBroken:
    schema = orjson.loads(text)
    dialect = schema.get("$schema", DIALECT)
    if dialect != DIALECT:
        return SchemaBroken([(("$schema",), f"{dialect!r} is not {DIALECT!r}")])
    try:
        return jsonschema_rs.Draft202012Validator(
            schema, offline=True, pattern_options=jsonschema_rs.RegexOptions(size_limit=1_000_000)
        )
    except jsonschema_rs.ValidationError as error:
        return SchemaBroken(_every_fault(schema, error))


def _every_fault(schema: Any, first: jsonschema_rs.ValidationError) -> list[tuple[Where, str]]:
    """The compiler stops at the first fault; the metaschema finds all of its own."""
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)
    found = [(tuple(error.absolute_path), error.message) for error in errors]
    if not found:
        hint = "" if "regex" not in first.message else " (no look-around, no back-references)"
        found = [(tuple(first.instance_path), f"{first.message}{hint}")]
    return found
