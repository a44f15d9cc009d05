"""The queue of runs: what accepting, leasing and ending one costs with 100 and with 100,000 waiting, and idling.

SQLite always; PostgreSQL where PENSTOCK_TEST_POSTGRES names a server.
"""

import contextlib
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from penstock.store.database import Database, open_database
from penstock.store.queue import NewRun, RunQueue, Terms
from penstock.store.queue_lease import Held, LeaseStore
from penstock.testing.postgresql import SERVER, postgresql_database

DEPTHS = (100, 100_000)
TENANTS = 10
FILL = 10_000
ACCEPTED = 200
ENDED = 256
ROOM = 16
IDLE = 200
BODY = {"requirement": "The user can reset the password within 15 minutes." * 8}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench(f"sqlite:///{folder}/store.db", "SQLite")
    if os.environ.get(SERVER):
        with postgresql_database("bench_durable") as url:
            bench(url, "PostgreSQL")
    else:
        print(f"PostgreSQL: {SERVER} names no server")


def bench(url: str, name: str) -> None:
    """Prints the figures of one database, the depths side by side."""
    with contextlib.closing(open_database(url)) as database:
        idle = per_call(lambda: LeaseStore(database, "idle", 10).claim(ROOM, ROOM), IDLE)
        print(f"{name}: looking for work where there is none {idle}")
        filled = 0
        for depth in DEPTHS:
            begun = time.perf_counter()
            fill(database, depth - filled)
            rate = (depth - filled) / (time.perf_counter() - begun)
            print(f"{name}, {depth:,} waiting: filled at {rate:,.0f} runs/s")
            print(f"    accept one {per_call(lambda: accept(database), ACCEPTED)}")
            print(f"    lease {ROOM}, write one journal entry and the end of each {lifecycle(database)}")
            filled = depth + ACCEPTED - ENDED


def fill(database: Database, count: int) -> None:
    """Puts runs of several tenants into the queue."""
    for start in range(0, count, FILL):
        for tenant in range(TENANTS):
            share = range(start + tenant, min(start + FILL, count), TENANTS)
            with database.write() as connection:
                RunQueue(database).put(connection, [new_run() for _ in share], Terms(f"tenant-{tenant}", "clerk"))


def accept(database: Database) -> None:
    RunQueue(database).accept(new_run(), Terms("tenant-0", "clerk"))


def new_run() -> NewRun:
    return NewRun(str(uuid.uuid4()), BODY, {"user": "ada"})


def lifecycle(database: Database) -> str:
    """Runs/s and CPU a run, from lease to end."""
    store = LeaseStore(database, "bench", 10)
    begun, cpu, count = time.perf_counter(), time.process_time(), 0
    while count < ENDED:
        for leased in store.claim(ROOM, ROOM):
            held = Held(leased.row.run_id, leased.row.attempt)
            store.write(held, list(records(leased.row.run_id)), {"release": "sha256:0"})
            store.end(held, [], "finished", None)
            count += 1
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return f"{count / wall:8,.0f} runs/s, {cpu / count * 1e3:.2f} ms CPU a run"


def records(run_id: str) -> Iterator[dict[str, Any]]:
    """What a call leaves: an entry of the journal and two events."""
    yield {"kind": "payload", "runId": run_id, "ref": "journal-1", "role": "journal", "body": {"door": "model", **BODY}}
    for seq in (1, 2):
        event = {"id": str(uuid.uuid4()), "runId": run_id, "attempt": 1, "seq": seq, "type": "llm.finished", "data": {}}
        yield {"kind": "event", "event": event}


def per_call(call: Callable[[], object], times: int) -> str:
    """Median wall time and mean CPU of a call."""
    walls = []
    cpu = time.process_time()
    for _ in range(times):
        begun = time.perf_counter()
        call()
        walls.append(time.perf_counter() - begun)
    cpu = time.process_time() - cpu
    return f"{sorted(walls)[times // 2] * 1e3:6.2f} ms, {cpu / times * 1e3:.2f} ms CPU"


if __name__ == "__main__":
    main()
