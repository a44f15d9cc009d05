import os
import signal
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.routing_table import AgentRoutes, OverlayEntry, RoutingTable, TableSource
from penstock.errors import Conflict, Invalid, NotFound
from penstock.routing import publish as publish_module
from penstock.routing.publish import next_table, publish
from penstock.store import folder
from penstock.store.folder import FolderStore
from penstock.store.releases import ReleaseStore, table_name
from penstock.testing.disk import ArmedDisk

SOURCE = TableSource(commit="c", kind="promote", actor="ann@example.org")


def adding(name: str, routes: AgentRoutes) -> Callable[[RoutingTable | None], RoutingTable]:
    """A change that adds an agent to whatever is in force."""

    def change(current: RoutingTable | None) -> RoutingTable:
        agents = dict(current.agents) if current is not None else {}
        return next_table(current, {**agents, name: routes}, current.overlay if current else {}, SOURCE)

    return change


def test_generations_follow_each_other(released: Any) -> None:
    first, second = released.publish("1.0.0"), released.publish("1.1.0", kind="rollback")
    assert (first.generation, first.source.previous_generation) == (1, None)
    assert (second.generation, second.source.previous_generation) == (2, 1)
    assert first.lineage == second.lineage == released.store.lineage()
    assert second.source.kind == "rollback"
    assert second.created_at.endswith("Z")
    assert released.store.newest_table() == second


def test_an_equal_table_is_not_published_again(released: Any) -> None:
    first = released.publish("1.0.0")
    assert released.publish("1.0.0") == first
    assert publish(released.store, lambda current: None) == first
    assert released.store.highest_generation() == 1


def test_nothing_to_publish_and_nothing_in_force_is_not_found(released: Any) -> None:
    released.store.lineage(create=True)
    with pytest.raises(NotFound):
        publish(released.store, lambda current: None)


def test_an_incomplete_generation_is_gone_past(released: Any) -> None:
    released.publish("1.0.0")
    Path(released.store.url, table_name(2)).write_bytes(b'{"half')
    table = released.publish("1.1.0")
    assert (table.generation, table.source.previous_generation) == (3, 1)


def test_a_table_may_name_only_what_is_in_the_store(released: Any) -> None:
    released.publish("1.0.0")
    entry = {"version": "2.0.0", "release": "sha256:" + "0" * 64, "runtime": "direct"}
    missing = AgentRoutes.model_validate({"prod": entry})
    with pytest.raises(NotFound, match="release sha256:0000"):
        publish(released.store, adding("other", missing))
    blob = next(iter(released.store.get_release(released.release("1.1.0")).blobs))
    Path(released.store.url, "blobs", "sha256", blob[7:]).write_bytes(b"changed")
    with pytest.raises(Invalid, match="damaged"):
        publish(released.store, adding("other", released.routes("1.1.0")))
    assert released.store.highest_generation() == 1
    assert (
        publish(released.store, adding("other", released.routes("1.0.0"))).generation == 2
    )  # what is in force may stay


def test_tables_of_another_lineage_are_a_conflict(released: Any) -> None:
    released.publish("1.0.0")
    Path(released.store.url, "lineage.json").write_bytes(b'{"lineage": "other"}')
    with pytest.raises(Conflict, match="lineage is other"):
        released.publish("1.1.0")


def test_who_loses_every_race_gets_a_conflict(released: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    released.publish("1.0.0")
    monkeypatch.setattr(publish_module, "JITTER_S", 0)
    monkeypatch.setattr(ReleaseStore, "create_table", lambda *_: False)
    calls = []
    routes = released.routes("1.1.0")

    def change(current: RoutingTable | None) -> RoutingTable:
        calls.append(current)
        return adding("other", routes)(current)

    with pytest.raises(Conflict, match="10 times"):
        publish(released.store, change)
    assert len(calls) == 10


def test_racing_promoters_all_land_and_nobody_is_overwritten(released: Any) -> None:
    released.publish("1.0.0")
    seen: list[set[str]] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            table = ReleaseStore(FolderStore(released.store.url)).newest_table()
            assert table is not None
            seen.append(set(table.agents))

    def promote(number: int) -> None:
        publish(ReleaseStore(FolderStore(released.store.url)), adding(f"agent-{number}", released.routes("1.0.0")))

    reader = threading.Thread(target=read)
    promoters = [threading.Thread(target=promote, args=[number]) for number in range(6)]
    for thread in (reader, *promoters):
        thread.start()
    for thread in promoters:
        thread.join()
    stop.set()
    reader.join()
    newest = released.store.newest_table()
    assert newest is not None
    assert set(newest.agents) == {"clerk", *(f"agent-{number}" for number in range(6))}
    assert newest.generation == 7
    assert all(earlier <= later for earlier, later in pairwise(seen))


def test_the_overlay_goes_with_the_table(released: Any) -> None:
    entry = OverlayEntry(id="1", set={"status": "frozen"}, actor="a", reason="r", at="t")
    agents = {"clerk": released.routes("1.0.0", status="frozen")}
    table = publish(released.store, lambda current: next_table(current, agents, {"clerk": [entry], "b": []}, SOURCE))
    assert table.overlay == {"clerk": [entry]}
    assert publish(released.store, lambda current: next_table(current, agents, {}, SOURCE)).generation == 2


# --- kill -9 between any two system calls


def publish_all(root: str, routes: list[AgentRoutes], disk: ArmedDisk, acknowledge: int) -> None:
    """One publication an entry, each acknowledged by a byte, on that disk."""
    vars(folder)["os"] = disk
    store = ReleaseStore(FolderStore(root))
    for number, one in enumerate(routes):
        table = publish(store, adding(f"agent-{number}", one))
        os.write(acknowledge, bytes([table.generation]))


def killed_round(root: str, routes: list[AgentRoutes], kill_at: int) -> tuple[list[int], int]:
    """The generations that were acknowledged before the kill, and the process's wait status."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            publish_all(root, routes, ArmedDisk(kill_at), write)
        finally:
            os._exit(99)  # it was not killed
    os.close(write)
    acknowledged = b""
    while data := os.read(read, 100):
        acknowledged += data
    os.close(read)
    return list(acknowledged), os.waitpid(child, 0)[1]


@pytest.mark.parametrize("rounds", [100, pytest.param(1000, marks=pytest.mark.servers)])
def test_a_kill_between_any_two_calls_tears_no_table_and_loses_no_acknowledged_one(released: Any, rounds: int) -> None:
    routes = [released.routes(version) for version in ("1.0.0", "1.1.0", "1.2.0")]
    root = Path(released.store.url)
    calls = count_calls(root, routes)
    killed = 0
    for round_ in range(rounds):
        store = fresh_copy(root, round_)
        acknowledged, status = killed_round(store.url, routes, 1 + round_ % calls)
        killed += os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        generations = store.generations()
        tables = [store.table(generation) for generation in generations]  # raises on a torn one
        assert generations == list(range(1, len(generations) + 1))
        assert set(acknowledged) <= set(generations)
        assert len(generations) - len(acknowledged) in {0, 1}
        for at, table in enumerate(tables, start=1):
            assert table is not None
            assert sorted(table.agents) == [f"agent-{number}" for number in range(at)]
        after = publish(store, adding("agent-after", routes[0]))
        assert after.generation == len(generations) + 1
        assert len(after.agents) == len(generations) + 1
    assert killed == rounds


def count_calls(root: Path, routes: list[AgentRoutes]) -> int:
    """How many calls the three publications make: a process is killed before each of them."""
    disk = ArmedDisk(kill_at=0)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        publish_all(fresh_copy(root, -1).url, routes, disk, null)
    finally:
        vars(folder)["os"] = os
        os.close(null)
    assert disk.calls > 60
    return disk.calls


def fresh_copy(root: Path, round_: int) -> ReleaseStore:
    """A store with the same releases and no table, by hard links."""
    copy = root.with_name(f"round-{round_}")
    for name in ("releases", "blobs"):
        for file in (root / name).rglob("*"):
            if file.is_file():
                target = copy / file.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(file)
    return ReleaseStore(FolderStore(str(copy)))
