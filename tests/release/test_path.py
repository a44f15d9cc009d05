"""The whole path of one agent: merge, dev, canary, prod, a second version, rollback, and on."""

from collections.abc import Callable
from typing import Any

World = Any


def test_a_version_goes_from_merge_to_prod_and_back(world: Callable[..., World]) -> None:
    here = world()
    first = here.reconcile()
    assert [move.why for move in first.moves] == [""]
    assert [entry.version for entry in here.routes().dev] == ["1.0.0"]

    here.to_prod("helper", "1.0.0")
    assert here.routes().prod.version == "1.0.0"
    assert here.routes().dev == []

    here.add("helper", "1.1.0")
    assert here.reconcile().drift == []
    here.to_canary("helper", "1.1.0")
    assert (here.routes().canary.version, here.routes().canary.weight_bp) == ("1.1.0", 2000)
    here.live_runs("helper", 2)
    here.measure("helper", "1.1.0", "prod")
    here.approve("helper", "1.1.0", "prod", ("Mia Manager", "manager@example.org"))

    from penstock.release.driver import promote
    from penstock.release.rollback import roll_back

    manager = ("Mia Manager", "manager@example.org")
    promote(here.workspace(manager), ("helper", "1.1.0", "prod"))
    routes = here.routes()
    assert (routes.prod.version, routes.previous.version) == ("1.1.0", "1.0.0")
    assert [entry.version for entry in routes.draining] == ["1.0.0"]

    bad = routes.prod.release
    done = roll_back(here.workspace(manager), "helper", "answers nonsense")
    assert done.pending == ""
    routes = here.routes()
    assert routes.prod.version == "1.0.0"
    assert routes.previous is None
    assert routes.quarantined == [bad]
    assert routes.hold["reason"] == "answers nonsense"
    assert here.table().overlay == {}
    assert "1.1.0" in here.stages_text()
    again = here.reconcile()
    assert (again.changed, again.drift) == (False, [])
