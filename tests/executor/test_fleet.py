"""What executors report of themselves, as those see it who look after all of them: real processes, one database."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import update

from penstock.release.clock import now, stamp
from penstock.release.fleet import Fleet, read_fleet
from penstock.release.workspace import Workspace, open_workspace
from penstock.settings import load_settings
from penstock.store import tables
from penstock.testing.executor_world import Running, World, in_prod, wait_until


@contextlib.contextmanager
def looking(world: World) -> Iterator[Workspace]:
    workspace = open_workspace(load_settings(world.root))
    try:
        yield workspace
    finally:
        workspace.close()


def fleet(world: World) -> Fleet:
    with looking(world) as workspace:
        return read_fleet(workspace)


def states(world: World) -> dict[str, tuple[str, int | None]]:
    """URL -> its state and generation."""
    return {one.heard.beat.url: (one.state, one.heard.beat.generation) for one in fleet(world).executors}


def follow(world: World, generation: int, *executors: Running) -> None:
    wanted = {one.url: ("follows", generation) for one in executors}
    wait_until(lambda: states(world) == wanted, what=f"{wanted}")


def not_heard_for_a_minute(world: World, executor: Running) -> None:
    at = stamp(now() - timedelta(minutes=1))
    with looking(world) as workspace, workspace.database.write() as connection:
        connection.execute(update(tables.executors).where(tables.executors.c.url == executor.url).values(at=at))


def test_executors_come_follow_stop_and_go(world: World) -> None:
    assert fleet(world).notes == ["what executors serve is not known: there is no database yet"]
    assert not (world.root / ".penstock/store.db").exists()  # whoever looks makes nothing
    one, two = world.start(), world.start()
    follow(world, 1, one, two)
    [beat] = [seen.heard.beat for seen in fleet(world).executors if seen.heard.beat.url == one.url]
    assert (beat.host, beat.pid, beat.problem) == (socket.gethostname(), one.process.pid, None)

    newer = world.publish(echo=in_prod("1.1.0", world.release("echo", "1.1.0")))
    follow(world, newer, one, two)
    assert fleet(world).drift == []

    two.process.send_signal(signal.SIGSTOP)
    newest = world.publish(echo=in_prod("1.0.0", world.release("echo", "1.0.0")))
    wait_until(lambda: states(world)[one.url] == ("follows", newest), what="one follows")
    [drift] = fleet(world).drift
    assert drift.startswith(f"executor {two.url} (")
    assert f"has generation {newer} in force, {newest} is published, and it is behind since" in drift
    not_heard_for_a_minute(world, two)
    silent = fleet(world)
    assert silent.drift == []
    [note] = silent.notes
    assert note.startswith(f"executor {two.url} (")
    assert note.endswith(f"; it had generation {newer} in force")
    two.process.send_signal(signal.SIGCONT)
    follow(world, newest, one, two)

    assert one.stop() == 0
    follow(world, newest, two)


def test_an_executor_that_lost_the_store_is_drift_until_it_is_back(world: World) -> None:
    link = world.root / "mount"
    link.symlink_to(world.root / ".penstock/releases")
    near = world.start()
    far = world.start(environment={"PENSTOCK_RELEASES_URL": str(link), "PENSTOCK_CACHE_DIR": "cache-of-far"})
    follow(world, 1, near, far)
    link.unlink()
    newer = world.publish(echo=in_prod("1.1.0", world.release("echo", "1.1.0")))
    wait_until(lambda: states(world)[near.url] == ("follows", newer), what="the one beside the store follows")
    [drift] = fleet(world).drift
    assert drift.startswith(f"executor {far.url} (")
    assert f"has generation 1 in force, {newer} is published" in drift
    assert far.run(text="go on").json()["version"] == "1.0.0"
    link.symlink_to(world.root / ".penstock/releases")
    follow(world, newer, near, far)
    assert (fleet(world).drift, fleet(world).notes) == ([], [])


def test_without_the_database_it_serves_and_is_heard_of_once_it_is_there(world: World) -> None:
    place = world.root / ".penstock/store.db"
    place.mkdir(parents=True)
    executor = world.start()
    assert executor.run(text="without").json()["output"] == "without"
    [note] = fleet(world).notes
    assert note.startswith("what executors serve is not known: ")
    assert fleet(world).as_document() is None
    place.rmdir()
    follow(world, 1, executor)
    assert executor.stop() == 0
    assert fleet(world).as_document() == []
