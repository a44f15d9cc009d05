from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.contracts.json_schema import compile_schema
from penstock.registry.schema_change import MOST_COMPARISONS, dropped_fields, given_breaks, taken_breaks

Schema = dict[str, Any]


def fields(required: tuple[str, ...] = (), **properties: Any) -> Schema:
    made: Schema = {"type": "object", "properties": properties}
    return {**made, "required": list(required)} if required else made


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
QUERY = fields(("query",), query=TEXT, limit={"type": "integer", "maximum": 10})


def told(breaks: list[Any]) -> list[str]:
    return [f"{one.place}: {one.what}{'' if one.certain else ' ?'}" for one in breaks]


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        (QUERY, QUERY, []),
        (QUERY, fields(("query",), query=TEXT, limit={"type": "number"}, more=TEXT), []),
        (QUERY, fields(("query",), query=TEXT), ["limit: was removed or renamed"]),
        (QUERY, fields(("text",), text=TEXT, limit=NUMBER), ["query: was removed or renamed", "text: is now required"]),
        (QUERY, fields(("query", "limit"), query=TEXT, limit=NUMBER), ["limit: is now required"]),
        (fields(a=NUMBER), fields(a={"type": "integer"}), ["a: type narrowed from number to integer"]),
        (fields(a={}), fields(a=TEXT), ["a: type narrowed from anything to string"]),
        (fields(a={"type": ["string", "null"]}), fields(a=TEXT), ["a: type narrowed from null or string to string"]),
        (fields(a={"enum": ["x", "y"]}), fields(a={"enum": ["y", "z"]}), ['a: no longer takes "x"']),
        (fields(a={"enum": ["x", "y"]}), fields(a={"type": "string", "maxLength": 1}), []),
        (fields(a=TEXT), fields(a={"enum": ["x"]}), ['a: takes no more than ["x"]']),
        (fields(a={"const": 1}), fields(a={"type": "integer", "minimum": 1}), []),
        (fields(a=NUMBER), fields(a={"type": "number", "minimum": 0}), ["a: minimum changed from nothing to 0"]),
        (fields(a={"exclusiveMinimum": 0}), fields(a={"minimum": 0}), []),
        (
            fields(a={"minimum": 0}),
            fields(a={"exclusiveMinimum": 0}),
            ["a: exclusiveMinimum changed from nothing to 0"],
        ),
        (fields(a={"maximum": 9}), fields(a={"maximum": 5}), ["a: maximum changed from 9 to 5"]),
        (fields(a={"type": "number", "multipleOf": 4}), fields(a={"type": "number", "multipleOf": 2}), []),
        (fields(a={"type": "integer"}), fields(a={"type": "integer", "multipleOf": 1}), []),
        (fields(a=NUMBER), fields(a={"type": "number", "multipleOf": 2}), ["a: multipleOf changed from nothing to 2"]),
        (fields(a=TEXT), fields(a={"type": "string", "maximum": 5}), []),
        (fields(a=TEXT), fields(a={"type": "string", "pattern": "x"}), ['a: pattern changed from nothing to "x"']),
        (
            fields(a={"type": "string", "pattern": "x"}),
            fields(a={"type": "string", "pattern": "y"}),
            ['a: pattern changed from "x" to "y" ?'],
        ),
        (
            fields(a={"type": "array", "items": TEXT}),
            fields(a={"type": "array", "items": NUMBER, "minItems": 1, "uniqueItems": True}),
            [
                "a: minItems changed from nothing to 1",
                "a: uniqueItems changed from nothing to true",
                "a[]: type narrowed from string to number",
            ],
        ),
        (QUERY, {**QUERY, "additionalProperties": False}, [": further fields were allowed and are not any more"]),
        (
            {"type": "object", "additionalProperties": TEXT},
            {"type": "object", "additionalProperties": NUMBER},
            [".*: type narrowed from string to number"],
        ),
        (
            fields(a={"type": "integer", "default": 5}),
            fields(a={"type": "integer", "default": 6}),
            ["a: default changed from 5 to 6 ?"],
        ),
        (
            fields(a={"anyOf": [TEXT, {"type": "null"}]}),
            fields(a={"anyOf": [{"type": "null"}, TEXT, NUMBER]}),
            [],
        ),
        (fields(a={"anyOf": [TEXT, {"type": "null"}]}), fields(a=TEXT), ["a: type narrowed from null to string"]),
        (
            fields(a={"oneOf": [TEXT, NUMBER]}),
            fields(a={"oneOf": [TEXT, {"type": "null"}]}),
            ["a: no longer takes number"],
        ),
        ({"allOf": [TEXT]}, {"allOf": [NUMBER]}, [": allOf changed ?"]),
        (fields(a=True), fields(a=False), ["a: is not taken any more"]),
        (fields(a=False), fields(a=TEXT), []),
    ],
)
def test_what_callers_hand_in_may_only_widen(old: Schema, new: Schema, breaks: list[str]) -> None:
    assert told(taken_breaks(old, new)) == breaks


HITS = fields(("hits",), hits={"type": "array", "items": fields(("id",), id=TEXT, score=NUMBER)})


@pytest.mark.parametrize(
    ("new", "breaks"),
    [
        (HITS, []),
        (fields(("hits", "total"), hits=HITS["properties"]["hits"], total=NUMBER), []),
        (fields(hits=HITS["properties"]["hits"]), ["hits: may now be missing"]),
        (fields(("found",), found={"type": "array"}), ["hits: was removed or renamed"]),
        (
            fields(("hits",), hits={"type": "array", "items": fields(("id",), id=NUMBER, score={"type": "integer"})}),
            ["hits[].id: type widened from string to number"],
        ),
        (fields(("hits",), hits={"type": ["array", "null"]}), ["hits: type widened from array to array or null"]),
    ],
)
def test_what_callers_get_may_only_narrow(new: Schema, breaks: list[str]) -> None:
    assert told(given_breaks(HITS, new))[: len(breaks) or None] == breaks


def test_definitions_are_followed_each_in_its_own_schema() -> None:
    old: Schema = {**fields(tree={"$ref": "#/$defs/tree"}), "$defs": {"tree": fields(name=TEXT)}}
    old["$defs"]["tree"]["properties"]["inner"] = {"type": "array", "items": {"$ref": "#/$defs/tree"}}
    new: Schema = {**fields(tree={"$ref": "#/$defs/node"}), "$defs": {"node": fields(name=NUMBER)}}
    new["$defs"]["node"]["properties"]["inner"] = {"type": "array", "items": {"$ref": "#/$defs/node"}}
    (broken,) = taken_breaks(old, new)
    assert told([broken]) == ["tree.name: type narrowed from string to number"]
    assert broken.where == ("$defs", "node", "properties", "name")
    assert told(taken_breaks(fields(a={"$ref": "x.json"}), fields(a=TEXT))) == [
        "a: refers to what cannot be followed ?"
    ]
    assert told(taken_breaks(fields(a={"$ref": "#/properties/a"}), fields(a=TEXT))) == [
        "a: refers to what cannot be followed ?"
    ]


def test_alternatives_without_end_are_not_judged_to_their_end() -> None:
    def grown(depth: int, leaf: Schema) -> Schema:
        return leaf if not depth else {"anyOf": [fields(f=grown(depth - 1, leaf)) for _ in range(4)]}

    assert MOST_COMPARISONS < 16**6
    breaks = taken_breaks(grown(6, TEXT), grown(6, NUMBER))
    assert ": has too many alternatives to be judged to the end ?" in told(breaks)


def test_fields_that_are_not_known_any_more_are_found_in_values() -> None:
    old = fields(a=TEXT, b=fields(c=TEXT, d=TEXT), e={"type": "array", "items": fields(f=TEXT)})
    new = fields(b=fields(c=TEXT), e={"type": "array", "items": fields()})
    value = {"a": "x", "b": {"c": "x", "d": "x"}, "e": [{}, {"f": "x"}], "z": 1}
    assert sorted(dropped_fields(old, new, value), key=str) == [("a",), ("b", "d"), ("e", 1, "f")]
    assert list(dropped_fields(old, old, value)) == []


scalars = st.sampled_from([None, True, False, 0, 1, 2, 5, 1.5, "", "a", "ab", "abc"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
leaves = st.one_of(
    st.just({}),
    st.booleans(),
    st.fixed_dictionaries({"type": st.sampled_from(["null", "boolean", "array", "object"])}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(0, 2), "exclusiveMaximum": st.integers(1, 6), "multipleOf": st.integers(1, 2)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={"minLength": st.integers(0, 2), "maxLength": st.integers(1, 3), "pattern": st.sampled_from("ab")},
    ),
    st.fixed_dictionaries({"enum": st.lists(scalars, min_size=1, max_size=3)}),
)


def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    required = st.lists(st.sampled_from("abc"), max_size=2, unique=True)
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": properties},
            optional={"required": required, "additionalProperties": inner},
        ),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"maxItems": st.integers(0, 2)}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
    )


schemas = st.recursive(leaves, composed, max_leaves=5).filter(lambda schema: isinstance(schema, dict))


@given(schemas, schemas, values)
def test_where_no_break_is_found_what_fitted_still_fits(old: Schema, new: Schema, value: Any) -> None:
    # A field that is new in `new` may clash with what was sent undeclared before: an addition, which breaks nobody.
    closed = _closed(old)
    if compile_schema(closed).is_valid(value) and not taken_breaks(closed, new):
        assert compile_schema(new).is_valid(value)
    if compile_schema(new).is_valid(value) and not given_breaks(old, new):
        assert compile_schema(_opened(old)).is_valid(value)


def _closed(schema: Any) -> Any:
    """The schema without fields that it does not declare."""
    if not isinstance(schema, dict):
        return schema
    made = {key: _inside(key, value, _closed) for key, value in schema.items()}
    is_map = isinstance(made.get("additionalProperties"), dict) and made["additionalProperties"]
    return {**made, "additionalProperties": False} if made.get("type") == "object" and not is_map else made


def _opened(schema: Any) -> Any:
    """The schema with whatever further fields: they break nobody who gets them."""
    if not isinstance(schema, dict):
        return schema
    made = {key: _inside(key, value, _opened) for key, value in schema.items()}
    if made.get("additionalProperties") is False:
        del made["additionalProperties"]
    return made


def _inside(key: str, value: Any, change: Any) -> Any:
    if key == "properties":
        return {name: change(inner) for name, inner in value.items()}
    if key == "anyOf":
        return [change(inner) for inner in value]
    return change(value) if key in {"items", "additionalProperties"} else value
