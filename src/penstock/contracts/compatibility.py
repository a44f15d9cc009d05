"""Whether a schema still takes everything that a released one took, and means the same by it."""

import json
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

# Keyword -> whether a smaller value is the wider one.
_BOUNDS = {
    "minimum": True,
    "exclusiveMinimum": True,
    "minLength": True,
    "minItems": True,
    "minProperties": True,
    "maximum": False,
    "exclusiveMaximum": False,
    "maxLength": False,
    "maxItems": False,
    "maxProperties": False,
}
# An inclusive bound takes all that the exclusive one of the same value took.
_EXCLUSIVE = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}
_EXACT = ("pattern", "format", "multipleOf", "uniqueItems")
_ABSENT = object()


def breaks(released: Schema, proposed: Schema) -> list[str]:
    """Every way in which `proposed` breaks what `released` promised, as `place: what`; empty if it only adds.

    Refused: a removed (or renamed) field, a new required one, a narrowed type, enum or bound, a changed pattern or
    default, a closed object that was open.
    """
    return sorted(set(_Comparison(released, proposed).compare(released, proposed, "")))


class _Comparison:
    """Two documents, each with its own `$defs`; recursive schemas are compared once a pair."""

    def __init__(self, released: Schema, proposed: Schema) -> None:
        self._roots = (released, proposed)
        self._open: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        """Every break at and below a place."""
        pair = (str(old.get("$ref", "")), str(new.get("$ref", "")))
        if any(pair):
            if pair in self._open:
                return
            self._open.add(pair)
        yield from _default(old, new, place)
        yield from self._shapes(self._resolve(old, 0), self._resolve(new, 1), place)
        self._open.discard(pair)

    def _shapes(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        old, new = _with_any_of(old), _with_any_of(new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._alternatives(old, new, place)
            return
        yield from _types(old, new, place)
        yield from _values(old, new, place)
        yield from _bounds(old, new, place)
        yield from self._fields(old, new, place)
        yield from self._inner(old, new, place)

    def _alternatives(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        offered = [_merged(new, part) for part in new.get("anyOf", [{}])]
        for part in old.get("anyOf", [{}]):
            wanted = _merged(old, part)
            best = min((list(self.compare(wanted, offer, place)) for offer in offered), key=len)
            if best and len(offered) == 1:
                yield from best
            elif best:
                yield f"{place or 'document'}: no longer takes {_describe(self._resolve(wanted, 0))}"

    def _fields(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            where = f"{place}.{name}" if place else name
            if name not in after:
                yield f"{where}: was removed or renamed"
            else:
                yield from self.compare(schema, after[name], where)
        for name in set(new.get("required", [])) - set(old.get("required", [])):
            yield f"{place}.{name}: is now required".lstrip(".")

    def _inner(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        for key, suffix in (("items", "[]"), ("additionalProperties", ".*"), ("propertyNames", ".* (names)")):
            before, after = old.get(key, True), new.get(key, True)
            if isinstance(before, dict) and isinstance(after, dict):
                yield from self.compare(before, after, f"{place}{suffix}")
            elif before is not False and after is False:
                yield f"{place or 'document'}: {key} was allowed and is not any more"
            elif before is True and isinstance(after, dict) and after:
                yield f"{place}{suffix}: was free and is not any more"

    def _resolve(self, schema: Schema, side: int) -> Schema:
        reference = schema.get("$ref")
        if not reference:
            return schema
        target: Any = self._roots[side]
        for token in reference.removeprefix("#/").split("/"):
            target = target[token]
        inner: Schema = self._resolve(target, side)
        return {**inner, **{key: value for key, value in schema.items() if key != "$ref"}}


def _with_any_of(schema: Schema) -> Schema:
    """`oneOf` as `anyOf`: alternatives that a discriminator tells apart."""
    if "oneOf" not in schema:
        return schema
    return {**{key: value for key, value in schema.items() if key != "oneOf"}, "anyOf": schema["oneOf"]}


def _merged(outer: Schema, part: Schema) -> Schema:
    """One alternative with what stands beside `anyOf`; the default belongs to the whole."""
    beside = {key: value for key, value in outer.items() if key not in {"anyOf", "default", "title", "description"}}
    return {**beside, **part}


def _default(old: Schema, new: Schema, place: str) -> Iterator[str]:
    before, after = old.get("default", _ABSENT), new.get("default", _ABSENT)
    if before is not _ABSENT and _text(before) != _text(after):
        yield f"{place or 'document'}: default changed from {_text(before)} to {_text(after)}"


def _types(old: Schema, new: Schema, place: str) -> Iterator[str]:
    before, after = _type_set(old), _type_set(new)
    lost = before - after if after else set()
    if lost or (after and not before and "const" not in old and "enum" not in old):
        yield f"{place or 'document'}: type narrowed from {_names(before)} to {_names(after)}"


def _values(old: Schema, new: Schema, place: str) -> Iterator[str]:
    before, after = _enum(old), _enum(new)
    if after is not None and (before is None or not before <= after):
        lost = ", ".join(sorted(before - after)) if before else "any value"
        yield f"{place or 'document'}: no longer takes {lost}"


def _bounds(old: Schema, new: Schema, place: str) -> Iterator[str]:
    for key, smaller_is_wider in _BOUNDS.items():
        before, after = old.get(key, old.get(_EXCLUSIVE.get(key, key))), new.get(key)
        if after is None or before == after:
            continue
        if before is None or (after > before) == smaller_is_wider:
            yield f"{place or 'document'}: {key} narrowed from {before} to {after}"
    for key in _EXACT:
        if key in new and old.get(key) != new[key]:
            yield f"{place or 'document'}: {key} changed from {_text(old.get(key))} to {_text(new[key])}"


def _type_set(schema: Schema) -> set[str]:
    kinds = schema.get("type", [])
    found = {kinds} if isinstance(kinds, str) else set(kinds)
    return found | {"integer"} if "number" in found else found


def _enum(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {_text(schema["const"])}
    return {_text(value) for value in schema["enum"]} if "enum" in schema else None


def _describe(schema: Schema) -> str:
    return str(schema.get("title") or schema.get("type") or _enum(schema) or "a value")


def _names(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds)) or "anything"


def _text(value: Any) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value, sort_keys=True)
