"""A release whose tool cannot be loaded never comes into force, and nobody is served less because of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.release import Release
from penstock.testing.executor_world import (
    Running,
    World,
    component,
    document,
    in_prod,
    make_release,
    make_world,
    stopped_at_end,
    wait_until,
)

CODE = b"async def paint(arguments, ctx):\n    return {}\n"
ANY: dict[str, Any] = {"schema": {"type": "object"}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with stopped_at_end(make_world(tmp_path / "project")) as made:
        yield made


def with_tool(world: World, version: str, requires: list[str], code: bytes = CODE) -> str:
    """Puts a release of `echo` that pins one tool into the store; returns its digest."""
    release, blobs = make_release("echo", version)
    spec = {
        "input": ANY,
        "output": ANY,
        "implementation": {"type": "python", "entry": "tool:paint", "requires": requires},
        "sideEffects": "none",
    }
    file = {"path": "tool.py", "digest": digest_bytes(code), "executable": False}
    tool = {**component("tools", document("Tool", "paint", version, spec)), "files": [file]}
    made = Release.model_validate({**release.as_document(), "tools": [tool]})
    return world.store.put_release(made, {**blobs, digest_bytes(code): code})


def state(running: Running) -> dict[str, Any]:
    with running.client() as client:
        found: dict[str, Any] = client.get("/readyz").json()
    return found


@pytest.mark.parametrize(
    ("requires", "code", "says"),
    [
        (["penstock-of-the-future>=9"], CODE, "penstock-of-the-future>=9, which is not installed"),
        ([], b"async def paint(arguments, ctx):\n    return {}\nraise OSError('no colours')\n", "no colours"),
        ([], b"def paint(arguments, ctx):\n    return {}\nimport colours_that_nobody_has\n", "colours_that_nobody_has"),
    ],
)
def test_a_release_whose_tool_cannot_be_loaded_is_a_problem_and_not_live(
    world: World, requires: list[str], code: bytes, says: str
) -> None:
    running = world.start()
    bad = world.publish(echo=in_prod("2.0.0", with_tool(world, "2.0.0", requires, code)))
    wait_until(lambda: state(running)["problem"], what="the problem")
    told = state(running)
    assert (told["ready"], told["liveGeneration"]) == (True, bad - 1)
    assert f"generation {bad} cannot be served" in told["problem"]["what"]
    assert says in told["problem"]["what"]
    assert told["problem"]["where"]
    assert running.run().json()["version"] == "1.0.0"
    good = world.publish(echo=in_prod("3.0.0", with_tool(world, "3.0.0", [])))
    wait_until(lambda: state(running)["liveGeneration"] == good, what="the mended table")
    assert state(running)["problem"] is None
    assert running.run().json()["version"] == "3.0.0"


def test_a_tool_that_never_ends_its_import_keeps_no_later_table_out(world: World) -> None:
    running = world.start()
    code = b"import time\ntime.sleep(3600)\nasync def paint(arguments, ctx):\n    return {}\n"
    world.publish(echo=in_prod("2.0.0", with_tool(world, "2.0.0", [], code)))
    wait_until(lambda: state(running)["problem"], what="the problem")
    assert "still being loaded" in state(running)["problem"]["what"]
    back = world.publish(echo=in_prod("1.0.0", world.release("echo", "1.0.0")))
    wait_until(lambda: state(running)["liveGeneration"] == back, what="the table after it")
    assert running.run().json()["version"] == "1.0.0"
    assert running.stop() == 0
