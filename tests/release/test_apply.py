"""Apply: evidence that is not what was approved moves nothing, wherever it was changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from penstock.errors import Conflict, Invalid, PenstockError
from penstock.release.driver import promote
from penstock.release.workspace import Workspace
from penstock.store import tables

World = Any
APPROVER = ("Ben Approver", "approver@example.org")


def change_index(workspace: Workspace, name: str) -> None:
    """Another sentence in the database's copy of a result."""
    result = workspace.releases.get_result(name)
    forged = result.model_copy(update={"reason": "all is well"}).model_dump_json(by_alias=True)
    rows = tables.results
    with workspace.database.write() as connection:
        assert connection.execute(update(rows).where(rows.c.digest == name).values(document=forged)).rowcount == 1


def change_store(workspace: Workspace, name: str) -> None:
    """Another sentence in the stored result itself."""
    [place] = Path(workspace.releases.url).rglob(f"{name.removeprefix('sha256:')}.json")
    reason = workspace.releases.get_result(name).reason
    place.write_text(place.read_text("utf-8").replace(reason, "all is well"), "utf-8")


@pytest.mark.parametrize(("change", "refusal"), [(change_index, Conflict), (change_store, Invalid)])
def test_evidence_that_changed_after_approval_moves_nothing(
    world: Callable[..., World], change: Callable[[Workspace, str], None], refusal: type[PenstockError]
) -> None:
    here = world()
    here.reconcile()
    here.approve("helper", "1.0.0", "canary", APPROVER)
    workspace, before = here.workspace(APPROVER), (here.log(), here.table().generation)
    [evidence] = [
        one for one in workspace.releases.evidence_names() if one == here.evidence("helper", "1.0.0", "canary")
    ]
    change(workspace, workspace.releases.get_evidence(evidence).results[0])
    with pytest.raises(refusal):
        promote(here.workspace(APPROVER), ("helper", "1.0.0", "canary"))
    assert (here.log(), here.table().generation) == before
