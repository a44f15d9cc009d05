import pytest

from penstock.contracts.routing_table import AgentRoutes, OverlayEntry, Quarantine
from penstock.errors import Invalid
from penstock.routing.overlay import apply_overlay

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ENTRY = {"version": "1.0.0", "release": A, "runtime": "direct"}
OTHER = {"version": "0.9.0", "release": B, "runtime": "direct"}


def change(quarantine: Quarantine | None = None, **fields: object) -> OverlayEntry:
    return OverlayEntry(
        id="1", set=fields, quarantine=quarantine or Quarantine(), actor="ann@example.org", reason="r", at="t"
    )


def test_values_are_set_whole_and_null_clears() -> None:
    routes = AgentRoutes.model_validate(
        {"status": "frozen", "prod": ENTRY, "previous": OTHER, "dev": [OTHER], "commit": "c", "hold": {"by": "x"}}
    )
    after = apply_overlay(routes, [change(prod=OTHER, previous=None, dev=None, status=None, hold=None)])
    assert after.prod is not None
    assert after.prod.version == "0.9.0"
    assert (after.previous, after.dev, after.status, after.hold) == (None, [], "active", None)
    assert after.commit == "c"
    assert routes.status == "frozen"


def test_quarantine_is_added_and_removed_in_order() -> None:
    routes = AgentRoutes(quarantined=[A])
    steps = [change(Quarantine(add=[B, A])), change(Quarantine(remove=[A])), change(status="frozen")]
    after = apply_overlay(routes, steps)
    assert after.quarantined == [B]
    assert after.status == "frozen"
    assert apply_overlay(routes, []) == routes


def test_later_entries_come_on_top() -> None:
    after = apply_overlay(AgentRoutes(), [change(status="frozen"), change(status="disabled")])
    assert after.status == "disabled"


@pytest.mark.parametrize(
    "fields", [{"stickyBy": "user"}, {"commit": "x"}, {"status": "gone"}, {"prod": {"version": "1"}}]
)
def test_what_it_may_not_say_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="overlay entry 1"):
        apply_overlay(AgentRoutes(), [change(None, **fields)])
