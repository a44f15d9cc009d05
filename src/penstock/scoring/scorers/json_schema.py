"""Scorer `json-schema`: the output fits a JSON Schema, of draft 2020-12 or draft 7."""

import functools
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jsonschema_rs
import orjson
from pydantic import AfterValidator

from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import ABSENT, JsonPath, expected_of, lacking, output_at, short

Draft = Literal["2020-12", "7"]
Schema = dict[str, Any] | bool
Validator = jsonschema_rs.Draft202012Validator | jsonschema_rs.Draft7Validator

DIALECTS: dict[str, Draft] = {
    "https://json-schema.org/draft/2020-12/schema": "2020-12",
    "http://json-schema.org/draft-07/schema": "7",
}
SHOWN = 20
"""Most faults that a score's details list."""


class SchemaUnusable(ValueError):
    """A schema that cannot judge anything: no schema of its draft, or it names a document that is not given."""


def _right_schema(schema: Schema) -> Schema:
    """Refuses what is a schema of neither draft; references and patterns show once the parameters are together."""
    if isinstance(schema, bool):
        return schema
    _draft_of(schema)
    drafts = [schema] if "$schema" in schema else [{**schema, "$schema": dialect} for dialect in DIALECTS]
    faults = [fault for fault in map(_meta_fault, drafts) if fault]
    if len(faults) == len(drafts):
        raise SchemaUnusable(f"is no JSON Schema: {faults[0]}")
    return schema


def _meta_fault(schema: dict[str, Any]) -> str:
    try:
        jsonschema_rs.meta.validate(schema)
    except jsonschema_rs.ValidationError as error:
        return f"{_place(error.instance_path)}: {error.message}"
    return ""


@scorer("json-schema", kind="assertion", revision=1, traits=["reads-expected"])
def json_schema(
    scored: Scored,
    *,
    path: JsonPath = "$",
    schema_: Annotated[Schema, AfterValidator(_right_schema)] | None = None,
    expected_path: JsonPath = "$",
    draft: Draft | None = None,
    documents: dict[str, Schema] | None = None,
    formats: bool = False,
    parse_text: bool = False,
) -> Score:
    """Whether every value at `path` fits the schema; a path that selects nothing does not.

    `schema` null = the case's `expected` is one. `draft` null = what `$schema` says, else 2020-12. `documents` are
    the schemas that `$ref` may name, by their URI: nothing is ever fetched. With `formats` a wrong `format` is a fault,
    with `parseText` the value is a text that holds JSON.
    """
    wanted = expected_of(scored, schema_, expected_path)
    if not isinstance(wanted, dict | bool):
        raise lacking(scored.case, f"{short(wanted)} is expected, which is no JSON Schema")
    try:
        validator = schema_validator(wanted, draft, documents, formats=formats)
    except SchemaUnusable as error:
        raise lacking(scored.case, str(error), "mend the schema") from None
    found = output_at(scored, path)
    values = found if isinstance(found, list) and path != "$" else [] if found is ABSENT else [found]
    if not values:
        return Score(False, f"the output has nothing at {path}")
    faults = [fault for value in values for fault in _faults(validator, value, parse_text)]
    return Score(not faults, faults[0] if faults else "", {"faults": faults[:SHOWN]} if faults else {})


def schema_validator(
    schema: Schema, draft: Draft | None = None, documents: Mapping[str, Schema] | None = None, *, formats: bool = False
) -> Validator:
    """The validator of a schema, kept for equal ones; raises `SchemaUnusable`."""
    version = draft or (_draft_of(schema) if isinstance(schema, dict) else "2020-12")
    key = json.dumps([schema, dict(documents or {})], sort_keys=True)  # a schema's integers may have any size
    made = _validator(key, version, formats)
    if isinstance(made, SchemaUnusable):
        raise made
    return made


def _draft_of(schema: dict[str, Any]) -> Draft:
    named = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    draft = DIALECTS.get(named.rstrip("#")) if isinstance(named, str) else None
    if draft is None:
        raise SchemaUnusable(f"$schema {named!r} is neither of {', '.join(DIALECTS)}")
    return draft


@functools.lru_cache(maxsize=1_000)
def _validator(key: str, draft: Draft, formats: bool) -> Validator | SchemaUnusable:
    schema, documents = json.loads(key)

    def given(uri: str) -> Any:
        if uri.rstrip("#") not in documents:
            raise LookupError(f"{uri} is not among the scorer's `documents`")
        return documents[uri.rstrip("#")]

    made = jsonschema_rs.Draft7Validator if draft == "7" else jsonschema_rs.Draft202012Validator
    try:
        return made(
            schema,
            validate_formats=formats,
            retriever=given,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=1_000_000),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return SchemaUnusable(f"is no usable JSON Schema of draft {draft}: {getattr(error, 'message', error)}")


def _faults(validator: Validator, value: Any, parse_text: bool) -> list[str]:
    if parse_text:
        if not isinstance(value, str):
            return [f"{short(value)} is no text that holds JSON"]
        try:
            value = orjson.loads(value)
        except ValueError as error:
            return [f"is no JSON: {error}"]
    if validator.is_valid(value):
        return []
    return [f"{_place(error.instance_path)}: {error.message}"[:500] for error in validator.iter_errors(value)]


def _place(path: Any) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
