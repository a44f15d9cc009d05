"""The keywords of JSON Schema 2020-12, one group at a time: whether what fits one schema fits another."""

import json
import math
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
Where = tuple[str | int, ...]

ANYTHING: Schema = {}
NOTHING: Schema = {"not": {}}
_TYPES = frozenset({"null", "boolean", "object", "array", "number", "string"})
# Keywords whose change no comparison of keywords can judge.
_UNJUDGED_TEXT = """
allOf not if then else dependentSchemas dependentRequired dependencies patternProperties prefixItems contains
minContains maxContains unevaluatedItems unevaluatedProperties propertyNames contentEncoding contentMediaType
contentSchema format $dynamicRef $anchor $dynamicAnchor $id
"""
_UNJUDGED = _UNJUDGED_TEXT.split()
Apart = Iterator[tuple[str, bool]]
"""(keyword, certain) for each keyword by which something that fits the inner schema may not fit the outer one."""


def plain(schema: Any) -> Schema:
    """A schema as an object: true is anything, false is nothing."""
    if isinstance(schema, dict):
        return schema
    return NOTHING if schema is False else ANYTHING


def target(root: Schema, schema: Schema) -> tuple[Schema, Where | None] | None:
    """What a schema refers to, with its place in the whole (None: itself); None = the reference cannot be followed."""
    where: Where | None = None
    seen = 0
    while "$ref" in schema:
        found = _followed(root, schema["$ref"])
        beside = without(schema, "$ref")
        seen += 1
        if found is None or seen > 32 or beside.keys() & plain(found[0]).keys():
            return None
        where = found[1]
        schema = {**plain(found[0]), **beside} if beside else plain(found[0])
    return schema, where


def without(schema: Schema, key: str) -> Schema:
    """A schema less one keyword and all that says nothing of what fits."""
    return {name: value for name, value in schema.items() if name not in {key, "title", "description", "examples"}}


def enumerated(schema: Schema) -> list[Any] | None:
    """All values that fit, None where they are not listed."""
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list(schema["enum"])
    return None


def types_apart(inner: Schema, outer: Schema) -> bool:
    """Whether a type fits the inner schema and not the outer one."""
    wide = _types(outer)
    return not all(kind in wide or (kind == "integer" and "number" in wide) for kind in _types(inner))


def common_types(inner: Schema, outer: Schema) -> set[str]:
    """The types that fit both; integers count as numbers too."""
    found = [kinds | ({"number"} if "integer" in kinds else set()) for kinds in (_types(inner), _types(outer))]
    return found[0] & found[1]


def numbers_apart(inner: Schema, outer: Schema, kinds: set[str]) -> Apart:
    """Bounds and steps of numbers."""
    if "number" not in kinds:
        return
    for closed, opened, sign in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        if _bound(inner, closed, opened, sign) < _bound(outer, closed, opened, sign):
            # Named by the keyword that differs.
            yield (closed if closed in outer and inner.get(closed) != outer[closed] else opened), True
    step, own = outer.get("multipleOf"), inner.get("multipleOf")
    if step is None or own == step or (step == 1 and "number" not in _types(inner)):
        return
    if own is None or own % step:
        yield "multipleOf", own is None or (float(own).is_integer() and float(step).is_integer())


def strings_apart(inner: Schema, outer: Schema, kinds: set[str]) -> Apart:
    """Length and pattern of texts."""
    if "string" not in kinds:
        return
    yield from _lengths_apart(inner, outer, "minLength", "maxLength")
    if "pattern" in outer and inner.get("pattern") != outer["pattern"]:
        yield "pattern", "pattern" not in inner  # of two patterns nobody says which one takes more


def arrays_apart(inner: Schema, outer: Schema, kinds: set[str]) -> Apart:
    """Number of items and of fields, and whether items may repeat."""
    if "array" in kinds:
        yield from _lengths_apart(inner, outer, "minItems", "maxItems")
        if outer.get("uniqueItems") is True and inner.get("uniqueItems") is not True:
            yield "uniqueItems", True
    if "object" in kinds:
        yield from _lengths_apart(inner, outer, "minProperties", "maxProperties")


def unjudged(old: Schema, new: Schema, *, same_definitions: bool = True) -> list[str]:
    """The keywords that differ, or may by what they refer to, and that are not judged."""
    return [
        key
        for key in _UNJUDGED
        if (key in old or key in new)
        and (old.get(key) != new.get(key) or (not same_definitions and '"$ref"' in text(old.get(key))))
    ]


def names(schema: Schema) -> str:
    """The types of a schema as people read them."""
    if schema == NOTHING:
        return "nothing"
    kinds = schema.get("type")
    values = enumerated(schema)
    if values is not None:
        return " or ".join(text(value) for value in values)
    found = [kinds] if isinstance(kinds, str) else sorted(kinds or [])
    return " or ".join(found) or "anything"


def text(value: Any) -> str:
    """A value as JSON; nothing where there is none."""
    return "nothing" if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _followed(root: Schema, reference: Any) -> tuple[Any, Where] | None:
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return None
    value: Any = root
    path: list[str | int] = []
    for token in reference[2:].split("/") if reference != "#" else []:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            path.append(int(name))
        elif isinstance(value, dict) and name in value:
            path.append(name)
        else:
            return None
        value = value[path[-1]]
    return value, tuple(path)


def _types(schema: Schema) -> set[str]:
    if schema == NOTHING:
        return set()
    kinds = schema.get("type")
    if kinds is None:
        return set(_TYPES)
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _bound(schema: Schema, closed: str, opened: str, sign: int) -> tuple[float, int]:
    """The bound that holds, greater = narrower; an open one is narrower than a closed one of the same number."""
    bounds = [(-math.inf, 0)]
    if closed in schema:
        bounds.append((sign * schema[closed], 0))
    if opened in schema:
        bounds.append((sign * schema[opened], 1))
    return max(bounds)


def _lengths_apart(inner: Schema, outer: Schema, least: str, most: str) -> Apart:
    own_least = len(inner.get("required", [])) if least == "minProperties" else 0
    if max(inner.get(least, 0), own_least) < outer.get(least, 0):
        yield least, True
    if inner.get(most, math.inf) > outer.get(most, math.inf):
        yield most, True
