"""The check by hand refuses what the contract refuses, and lets through what it lets through."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.contracts.routing_table import RoutingTable
from penstock.errors import Invalid
from penstock.routing.table_shape import named_releases, read_table

DIGEST = "sha256:" + "a" * 64
ENTRY = {"version": "1.0.0", "release": DIGEST, "runtime": "direct"}
TABLE: dict[str, Any] = {
    "schema": "penstock.dev/routing/v1",
    "lineage": "l",
    "generation": 3,
    "createdAt": "2026-11-20T10:00:00Z",
    "source": {"commit": "c", "kind": "promote", "actor": "a", "reason": "r", "previousGeneration": 2},
    "agents": {
        "clerk": {
            "status": "active",
            "stickyBy": "user",
            "commit": "c",
            "prod": ENTRY,
            "canary": {**ENTRY, "weightBp": 500, "salt": DIGEST, "step": 1, "since": "", "allow": {"users": ["u"]}},
            "previous": ENTRY,
            "dev": [ENTRY],
            "draining": [{**ENTRY, "until": "2026-11-20T10:00:00Z"}],
            "deprecated": ["0.1.0"],
            "disabled": ["0.2.0"],
            "quarantined": [DIGEST],
            "hold": {"by": "a"},
            "degraded": {"model": "models/small@1.0.0", "by": "a", "since": "t", "reason": "r"},
        }
    },
    "overlay": {
        "clerk": [
            {"id": "1", "set": {"prod": None}, "quarantine": {"add": [DIGEST], "remove": []}, "actor": "a",
             "reason": "r", "at": "t"}
        ]
    },
}  # fmt: skip


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, value in items for place in places(value, (*at, key)))]


def changed(place: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    document = copy.deepcopy(TABLE)
    node: Any = document
    if not place:
        return value
    for key in place[:-1]:
        node = node[key]
    if drop:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return document


def by_hand(data: bytes) -> bool:
    try:
        read_table(data, "test")
    except Invalid:
        return False
    return True


def by_contract(data: bytes) -> bool:
    try:
        RoutingTable.model_validate(orjson.loads(data), strict=True)
    except (ValidationError, orjson.JSONDecodeError):
        return False
    return True


def test_a_whole_table_is_read() -> None:
    data = orjson.dumps(TABLE)
    assert by_hand(data)
    assert by_contract(data)
    assert set(named_releases(TABLE)) == {DIGEST}
    assert len(list(named_releases(TABLE))) == 5


VALUES = st.sampled_from(
    [None, "", "x", "1.0.0", "01.0.0", "1.0", DIGEST, DIGEST[:-1], DIGEST + "\n", "1.0.0\n", "active", "session",
     0, 1, -1, 10_000, 10_001, 1.5, True, [], [1], ["x"], [None], {}, {"x": 1}, {"x": ["y"]}]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(places(TABLE)), VALUES, st.booleans())
def test_both_checks_agree_on_every_change(place: tuple[Any, ...], value: Any, drop: bool) -> None:
    data = orjson.dumps(changed(place, value, drop=drop and bool(place)))
    assert by_hand(data) == by_contract(data), (place, value, drop)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_table_cut_short_is_refused(share: float) -> None:
    data = orjson.dumps(TABLE)
    with pytest.raises(Invalid, match="not complete") as caught:
        read_table(data[: int(len(data) * share)], "routing/000000000003.json")
    assert "000000000003" in caught.value.where


def test_fields_of_a_newer_program_are_kept() -> None:
    newer = {**TABLE, "later": {"x": 1}, "agents": {"clerk": {**TABLE["agents"]["clerk"], "later": 1}}}
    assert read_table(orjson.dumps(newer), "test") == newer
