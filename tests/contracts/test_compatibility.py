from pathlib import Path
from typing import Any

import pytest

from penstock.cli.schema import schema_state
from penstock.contracts.compatibility import breaks

ROOT = Path(__file__).parents[2]
RELEASED: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 63},
        "count": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
        "ratio": {"type": "number"},
        "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "mode": {"enum": ["a", "b"], "type": "string"},
        "kind": {"const": "Agent", "type": "string"},
        "price": {"anyOf": [{"$ref": "#/$defs/Price"}, {"type": "null"}], "default": None},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "list": {"type": "array", "items": {"$ref": "#/$defs/Price"}},
        "free": {},
    },
    "$defs": {
        "Price": {"type": "object", "properties": {"usd": {"type": "number"}}, "required": ["usd"]},
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The released schema with one place replaced; None removes it."""
    import copy

    made = copy.deepcopy(RELEASED)
    *outer, last = path.split("/")
    node: Any = made
    for part in outer:
        node = node[part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("properties/ratio", None, "ratio: was removed or renamed"),
        ("required", ["name", "count"], "count: is now required"),
        ("$defs/Price/required", ["usd", "eur"], "eur: is now required"),
        ("$defs/Price/properties/usd", None, "usd: was removed or renamed"),
        ("properties/ratio/type", "integer", "ratio: type narrowed from integer or number to integer"),
        ("properties/free", {"type": "string"}, "free: type narrowed from anything to string"),
        ("properties/mode/enum", ["a"], 'mode: no longer takes "b"'),
        ("properties/kind/const", "Agents", 'kind: no longer takes "Agent"'),
        ("properties/free", {"enum": [1]}, "free: no longer takes any value"),
        ("properties/count/default", 4, "count: default changed from 3 to 4"),
        ("properties/count/default", None, "count: default changed from 3 to nothing"),
        ("properties/count/minimum", 2, "count: minimum narrowed from 1 to 2"),
        ("properties/count/maximum", 9, "count: maximum narrowed from 10 to 9"),
        ("properties/name/maxLength", 62, "name: maxLength narrowed from 63 to 62"),
        ("properties/ratio/minimum", 0, "ratio: minimum narrowed from None to 0"),
        ("properties/share", {"type": "number", "minimum": 0.1, "maximum": 1}, "share: minimum narrowed from 0 to 0.1"),
        (
            "properties/share",
            {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "share: exclusiveMaximum narrowed from None",
        ),
        ("properties/name/pattern", "^[a-y]+$", "name: pattern changed"),
        ("properties/ratio/multipleOf", 2, "ratio: multipleOf changed from null to 2"),
        ("properties/price/anyOf", [{"$ref": "#/$defs/Price"}], "price: "),
        ("properties/price", {"oneOf": [{"$ref": "#/$defs/Price"}], "default": None}, "price: "),
        ("properties/labels/additionalProperties", False, "labels: additionalProperties was allowed"),
        ("properties/labels/additionalProperties", {"type": "integer"}, "labels.*: type narrowed"),
        ("properties/free", {"additionalProperties": False}, "free: additionalProperties was allowed"),
    ],
)
def test_each_narrowing_is_refused(path: str, value: Any, what: str) -> None:
    found = breaks(RELEASED, changed(path, value))
    assert any(what in line for line in found), found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/new", {"type": "string", "default": "x"}),
        ("properties/count/minimum", 0),
        ("properties/count/maximum", None),
        ("properties/share", {"type": "number", "minimum": 0, "maximum": 1}),
        ("properties/name/pattern", None),
        ("properties/mode/enum", ["a", "b", "c"]),
        ("properties/ratio/type", ["number", "string"]),
        ("properties/price/anyOf", [{"type": "string"}, {"$ref": "#/$defs/Price"}, {"type": "null"}]),
        ("properties/ratio", {"anyOf": [{"type": "number"}, {"type": "null"}]}),
        ("properties/ratio", {"oneOf": [{"type": "string"}, {"type": "number"}]}),
        ("required", []),
        ("properties/name/description", "Another sentence."),
    ],
)
def test_what_only_adds_is_taken(path: str, value: Any) -> None:
    assert breaks(RELEASED, changed(path, value)) == []


def test_the_contracts_keep_what_their_released_schemas_promised() -> None:
    assert schema_state(ROOT / "schemas") == ([], [])
