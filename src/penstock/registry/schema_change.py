"""How one JSON Schema breaks what another promised: to those who hand something in, or to those who get something.

Judged keyword by keyword. What no such comparison can decide (`allOf`, `not`, `if`, a changed pattern) is said to be
unclear, never taken for broken and never for sound: recorded values decide it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from penstock.contracts.json_schema import SchemaBroken, compile_schema
from penstock.registry.schema_keywords import (
    NOTHING,
    Schema,
    arrays_apart,
    common_types,
    enumerated,
    names,
    numbers_apart,
    plain,
    strings_apart,
    target,
    text,
    types_apart,
    unjudged,
    without,
)
from penstock.registry.strict_yaml import Path

# Alternatives of alternatives grow quickly; a schema that needs more than this is not judged to its end.
MOST_COMPARISONS = 5_000


@dataclass(frozen=True, slots=True, order=True)
class SchemaBreak:
    """One break: `place` is the field as people read it, `where` its place in the newer schema.

    Not `certain` = it may or may not break somebody.
    """

    place: str
    what: str
    certain: bool
    where: Path


def taken_breaks(old: Schema, new: Schema) -> list[SchemaBreak]:
    """Ways in which `new` refuses, or no longer knows, what `old` took: of what callers hand in."""
    return _found(_Comparison(old, new, given=False))


def given_breaks(old: Schema, new: Schema) -> list[SchemaBreak]:
    """Ways in which `new` may bring what `old` promised not to, or no longer brings it: of what callers get back.

    Further fields, and fields that are always there now, break nobody.
    """
    return _found(_Comparison(old, new, given=True))


def dropped_fields(old: Schema, new: Schema, value: Any) -> Iterator[Path]:
    """The fields of `value` that `old` declares and `new` does not know any more, though it would let them pass."""
    yield from _dropped((old, new), (old, new), value, ())


@dataclass(frozen=True, slots=True)
class _At:
    """Where a comparison stands: for people, and in the newer schema."""

    place: str = ""
    where: Path = ()

    def field(self, name: str) -> "_At":
        return _At(f"{self.place}.{name}".lstrip("."), (*self.where, "properties", name))

    def inside(self, suffix: str, key: str) -> "_At":
        return _At(f"{self.place}{suffix}", (*self.where, key))


class _Comparison:
    """Two schemas, each with its own definitions; recursive ones are compared once a pair."""

    def __init__(self, old: Schema, new: Schema, *, given: bool) -> None:
        self.roots = (old, new)
        self.given = given
        self._same_definitions = old.get("$defs") == new.get("$defs")
        self._open: set[tuple[int, int]] = set()
        self.left = MOST_COMPARISONS

    def compare(self, old: Any, new: Any, at: _At) -> Iterator[SchemaBreak]:
        """Every break at and below a place."""
        pair = (id(old), id(new))
        if pair in self._open or (old == new and self._same_definitions):
            return
        if self.left <= 0:
            return
        self.left -= 1
        self._open.add(pair)
        before, after = target(self.roots[0], plain(old)), target(self.roots[1], plain(new))
        if before is None or after is None:
            yield SchemaBreak(at.place, "refers to what cannot be followed", False, at.where)
        elif before[0] is not old or after[0] is not new:
            yield from self.compare(before[0], after[0], replace(at, where=at.where if after[1] is None else after[1]))
        else:
            yield from self._shapes(before[0], after[0], at)
        self._open.discard(pair)

    def _shapes(self, old: Schema, new: Schema, at: _At) -> Iterator[SchemaBreak]:
        """What fits `inner` must fit `outer`: the older one what callers hand in, the newer one what they get."""
        inner, outer = self._turned(old, new)
        if inner == NOTHING:
            return
        if outer == NOTHING:
            yield self._break(at, "may now come" if self.given else "is not taken any more")
            return
        values = enumerated(inner)
        if values is not None:
            yield from self._values(values, outer, at)
        elif any(key in side for side in (old, new) for key in ("anyOf", "oneOf")):
            yield from self._alternatives(inner, outer, at)
        else:
            yield from self._keywords(old, new, at)

    def _keywords(self, old: Schema, new: Schema, at: _At) -> Iterator[SchemaBreak]:
        inner, outer = self._turned(old, new)
        narrower = "widened" if self.given else "narrowed"
        if types_apart(inner, outer):
            yield self._break(at, f"type {narrower} from {names(old)} to {names(new)}")
        if enumerated(outer) is not None:
            what = "may now be any value" if self.given else f"takes no more than {text(enumerated(outer))}"
            yield self._break(at, what)
        kinds = common_types(inner, outer)
        for apart in (numbers_apart, strings_apart, arrays_apart):
            for keyword, certain in apart(inner, outer, kinds):
                told = f"{keyword} changed from {text(old.get(keyword))} to {text(new.get(keyword))}"
                yield self._break(at, told, certain=certain)
        if "default" in old and text(old["default"]) != text(new.get("default")) and not self.given:
            told = f"default changed from {text(old['default'])} to {text(new.get('default'))}"
            yield self._break(at, told, certain=False)
        for keyword in unjudged(old, new, same_definitions=self._same_definitions):
            yield self._break(at, f"{keyword} changed", certain=False)
        if "object" in kinds:
            yield from self._fields(old, new, at)
        if "array" in kinds:
            yield from self.compare(old.get("items", True), new.get("items", True), at.inside("[]", "items"))

    def _fields(self, old: Schema, new: Schema, at: _At) -> Iterator[SchemaBreak]:
        before, after = old.get("properties", {}), new.get("properties", {})
        others = new.get("additionalProperties", True)
        is_map = isinstance(others, dict) and bool(others)
        for name, schema in before.items():
            if name in after:
                yield from self.compare(schema, after[name], at.field(name))
            elif is_map:
                yield from self.compare(schema, others, at.inside(f".{name}", "additionalProperties"))
            else:
                yield self._break(at.field(name), "was removed or renamed")
        mapped = old.get("additionalProperties", True)
        if isinstance(mapped, dict) and mapped:  # of a map, a field that is declared now was promised something before
            for name in after.keys() - before.keys():
                yield from self.compare(mapped, after[name], at.field(name))
        inner, outer = self._turned(old, new)
        for name in sorted(set(outer.get("required", [])) - set(inner.get("required", []))):
            if name in after or name not in before or is_map:  # else it was removed, as said above
                yield self._break(at.field(name), "may now be missing" if self.given else "is now required")
        yield from self._further(old, new, at)

    def _further(self, old: Schema, new: Schema, at: _At) -> Iterator[SchemaBreak]:
        """Fields that are not declared: those who hand in may send them, those who get something may meet more."""
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        inside = at.inside(".*", "additionalProperties")
        if self.given and before is False:
            return
        if after is False and before is not False and not self.given:
            yield self._break(at, "further fields were allowed and are not any more")
        elif isinstance(before, dict) or isinstance(after, dict):
            yield from self.compare(before, after, inside)

    def _values(self, values: list[Any], outer: Schema, at: _At) -> Iterator[SchemaBreak]:
        root = self.roots[0] if self.given else self.roots[1]
        try:
            validator = compile_schema({**outer, "$defs": root.get("$defs", {})})
        except SchemaBroken:  # it refers to another place of the whole
            yield self._break(at, "cannot be compared value by value", certain=False)
            return
        lost = [text(value) for value in values if not validator.is_valid(value)]
        if lost:
            yield self._break(at, f"{'may now be' if self.given else 'no longer takes'} {', '.join(lost)}")

    def _alternatives(self, inner: Schema, outer: Schema, at: _At) -> Iterator[SchemaBreak]:
        offers = _parts(outer)
        for part in _parts(inner):
            found = [list(self.compare(*self._turned(part, offer), at)) for offer in offers]
            best = min(found, key=lambda breaks: (sum(one.certain for one in breaks), len(breaks)))
            if best and len(offers) == 1:
                yield from best
            elif best:
                what = f"{'may now be' if self.given else 'no longer takes'} {names(part)}"
                yield self._break(at, what, certain=all(one.certain for one in best))

    def _turned(self, one: Any, other: Any) -> tuple[Any, Any]:
        """(old, new) as (inner, outer), and back."""
        return (other, one) if self.given else (one, other)

    def _break(self, at: _At, what: str, *, certain: bool = True) -> SchemaBreak:
        return SchemaBreak(at.place, what, certain, at.where)


def _found(comparison: _Comparison) -> list[SchemaBreak]:
    old, new = comparison.roots
    found = set(comparison.compare(old, new, _At()))
    if comparison.left <= 0:
        found.add(SchemaBreak("", "has too many alternatives to be judged to the end", False, ()))
    return sorted(found, key=lambda one: (one.place, one.what))


def _parts(schema: Schema) -> list[Schema]:
    """The alternatives, each with what stands beside them."""
    for key in ("anyOf", "oneOf"):
        if key in schema:
            beside = without(schema, key)
            return [{**beside, **part} if isinstance(part, dict) else plain(part) for part in schema[key]]
    return [schema]


def _dropped(roots: tuple[Schema, Schema], schemas: tuple[Any, Any], value: Any, path: Path) -> Iterator[Path]:
    found = [target(root, plain(schema)) for root, schema in zip(roots, schemas, strict=True)]
    if found[0] is None or found[1] is None:
        return
    old, new = found[0][0], found[1][0]
    if isinstance(value, dict):
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in value.keys() & before.keys():
            if name in after:
                yield from _dropped(roots, (before[name], after[name]), value[name], (*path, name))
            elif new.get("additionalProperties", True) in (True, {}) and not unjudged({}, new):
                yield (*path, name)
    elif isinstance(value, list):
        inner = (old.get("items", True), new.get("items", True))
        for position, item in enumerate(value):
            yield from _dropped(roots, inner, item, (*path, position))
