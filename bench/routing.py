"""Routing: a decision beside its limit, loading a large table, publish -> live, and what a spooled record costs."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmh3
import orjson

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.routing_table import AgentRoutes, TableSource
from penstock.routing import Caller, RoutingTable
from penstock.routing.publish import next_table, publish
from penstock.routing.watch import TableWatch
from penstock.store.folder import FolderStore
from penstock.store.releases import ReleaseStore
from penstock.store.spool import Spool
from penstock.testing.example_release import example_release

AGENTS = 1_000
DECISIONS = 100_000
LOADS = 15
PUBLICATIONS = 25


def entry(version: str, number: int, **fields: Any) -> dict[str, Any]:
    return {"version": version, "release": f"sha256:{number:064x}", "runtime": "langgraph", **fields}


def table_bytes() -> bytes:
    """A table of 1,000 agents, each with something in every stage."""
    agents = {}
    for number in range(AGENTS):
        canary = entry("1.1.0", number + 1, weightBp=2000, salt=f"sha256:{number:064x}", step=1, since="", allow={})
        agents[f"agent-{number}"] = {
            "status": "active",
            "stickyBy": "session",
            "prod": entry("1.0.0", number),
            "canary": canary,
            "previous": entry("0.9.0", number + 2),
            "dev": [entry("1.2.0", number + 3)],
        }
    source = {"commit": None, "kind": "promote", "actor": "ann@example.org"}
    head = {"schema": "penstock.dev/routing/v1", "lineage": "l", "generation": 1, "createdAt": "", "source": source}
    return orjson.dumps({**head, "agents": agents})


def decisions(decide: Callable[[int], object]) -> tuple[float, float]:
    """Median and 99th percentile of single decisions, microseconds."""
    times = []
    for number in range(DECISIONS):
        start = time.perf_counter_ns()
        decide(number)
        times.append(time.perf_counter_ns() - start)
    times.sort()
    return times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000


def bench_decisions(data: bytes) -> None:
    table = RoutingTable.from_bytes(data)
    names = [f"agent-{number}" for number in range(AGENTS)]
    callers = [Caller("t", f"user-{number}", f"session-{number}", f"run-{number}") for number in range(997)]
    for name in names:
        table.select(name, callers[0])
    bare = {name: f"sha256:{number:064x}" for number, name in enumerate(names)}

    def select(number: int) -> object:
        return table.select(names[number % AGENTS], callers[number % 997])

    def limit(number: int) -> object:
        salt = bare[names[number % AGENTS]]
        return (mmh3.hash(f"{salt}:{callers[number % 997].session}", 0, signed=False) * 10_000) >> 32 < 2000

    for name, (median, p99) in {
        "routing decision (p99 <= 20 us)": decisions(select),
        "dict lookup + hash (limit)": decisions(limit),
    }.items():
        print(f"{name:44} median {median:7.2f} us   p99 {p99:7.2f} us")


def bench_load(data: bytes) -> None:
    ways: dict[str, Callable[[], object]] = {
        f"load and verify {AGENTS} agents (<= 10 ms)": lambda: RoutingTable.from_bytes(data),
        f"parse {len(data) // 1024} KB of JSON alone (limit)": lambda: orjson.loads(data),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(LOADS):
        for name, load in ways.items():
            start = time.perf_counter()
            load()
            times[name].append((time.perf_counter() - start) * 1000)
    for name, values in times.items():
        print(f"{name:44} median {statistics.median(values):7.2f} ms   min {min(values):7.2f} ms")


def bench_live(root: Path) -> None:
    """Publish to live in an executor's watch, beside the poll interval."""
    store = ReleaseStore(FolderStore(str(root / "releases")))
    digests = []
    for number in range(2):
        release, body = example_release({"limits": {"timeoutMs": 1000 + number}})
        digests.append(store.put_release(release, {digest_bytes(body): body}))
    source = TableSource(commit=None, kind="promote", actor="ann@example.org")

    def publish_next(number: int) -> int:
        standing = {"version": "1.0.0", "release": digests[number % 2], "runtime": "direct"}
        agents = {"clerk": AgentRoutes.model_validate({"prod": standing})}
        return publish(store, lambda current: next_table(current, agents, {}, source)).generation

    publish_next(0)
    watch = TableWatch(store, root / "cache").start()
    times = []
    for number in range(1, PUBLICATIONS + 1):
        start = time.perf_counter()
        generation = publish_next(number)
        assert watch.wait_for(generation, timeout_s=10)
        times.append((time.perf_counter() - start) * 1000)
        time.sleep(0.013 * (number % 7))  # meets the watch at another moment of its interval
    watch.close()
    times.sort()
    median, p99 = statistics.median(times), times[min(len(times) - 1, len(times) * 99 // 100)]
    print(f"{'publish -> live in a watch (p99 <= 1 s)':44} median {median:7.0f} ms   p99 {p99:7.0f} ms")
    print(f"{'poll interval (limit)':44} {'':6} {200:8} ms")


async def bench_spool(root: Path) -> None:
    """CPU a record, eight records and a commit a run; the limit is an append and flush of one record at a time."""
    record = {"kind": "event", "event": {"id": "x" * 36, "runId": "y" * 36, "data": {"text": "z" * 300}}}
    spool = Spool(root / "spool")

    async def run(times: int) -> None:
        for _ in range(times):
            for _ in range(8):
                spool.append(record)
            await spool.commit()

    for at_once in (1, 16, 64):
        each = 1_600 // at_once
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(run(each) for _ in range(at_once)))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        runs = each * at_once
        name = f"spool, {at_once} at once (<= 20 us a record)"
        print(f"{name:44} {cpu / runs / 8 * 1e6:7.1f} us CPU a record   {runs / wall:8.0f} durable runs/s")
    spool.close()


def main() -> None:
    data = table_bytes()
    bench_decisions(data)
    bench_load(data)
    with tempfile.TemporaryDirectory() as folder:
        bench_live(Path(folder))
        asyncio.run(bench_spool(Path(folder)))


if __name__ == "__main__":
    main()
