"""An executor under every kind of load for ten minutes: what grows although nothing should, fails it.

    python bench/soak.py

PENSTOCK_SOAK_S is how long, in seconds; a soak under five minutes is too short to judge memory by, and says so. Callers
ask without an answer that is faster than their pause, so that a machine of two cores is not full: it is time that is
looked for, not speed. Exit status 1 = something grew, or a promise was broken.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from penstock.settings import load_settings
from penstock.store.database import open_database
from penstock.testing.executor_world import Running, World, in_prod, make_world, stopped_at_end, wait_until
from penstock.testing.mixed_load import MixedLoad
from penstock.testing.process_family import resident_mb
from penstock.testing.promises import Promises

SECONDS = 600.0
ENOUGH_S = 300.0
WARM_UP = 0.25
"""The share of the time in which caches, pools and the last runs that are kept fill up."""
SAMPLES = 120
ROWS = 10
MOST_MB_A_MINUTE = 1.5
MORE_TASKS, MORE_FILES = 6, 12
MORE_SPOOL_MB = 2.0
PAUSE_S = 0.15
PATIENCE_S = 60.0
TOOLS = {
    "fails": {"sideEffects": "read", "output": {"schema": {"type": "object", "required": ["never"]}}},
    "writes": {"sideEffects": "write"},
}


@dataclass(frozen=True)
class Sample:
    """The executor at one moment; `at_s` since the begin, `answers` since the sample before.

    Memory is resident, that of the process beside included.
    """

    at_s: float
    memory_mb: float
    files: int
    tasks: int
    spool_mb: float
    answers: int


def sample(running: Running, world: World, begun: float, answers: int) -> Sample:
    process = Path(f"/proc/{running.process.pid}")
    spool = sum(file.stat().st_size for file in (world.root / ".penstock/spool").rglob("*") if file.is_file())
    return Sample(
        time.monotonic() - begun,
        resident_mb(running.process.pid),
        len(list((process / "fd").iterdir())),
        int(httpx.get(f"{running.url}/tasks").text),
        spool / 1e6,
        answers,
    )


def slope_a_minute(samples: Sequence[Sample]) -> float:
    """MB a minute: the median of the slopes between all pairs, which a single peak does not move."""
    slopes = sorted(
        (later.memory_mb - earlier.memory_mb) / (later.at_s - earlier.at_s) * 60
        for index, earlier in enumerate(samples)
        for later in samples[index + 1 :]
    )
    return slopes[len(slopes) // 2] if slopes else 0.0


def loads_on(running: Running, promises: Promises) -> list[MixedLoad]:
    """Every kind of request; conversations; and runs whose tools fail or write."""
    made = [
        MixedLoad([running.url], [agent], promises, seed=number)
        for number, agent in enumerate(("echo", "talk", "noter", "noter"))
    ]
    made[1].kinds = {"session": 3, "stream": 1}
    for load, tool in ((made[2], "fails"), (made[3], "writes")):
        load.kinds, load.input = {"sync": 3, "async": 1, "stream": 1}, {"tool": tool}
    made[0].callers, made[1].callers, made[2].callers, made[3].callers = 8, 2, 2, 2
    for load in made:
        load.pause_s = PAUSE_S
    return made


def soaked(running: Running, world: World, loads: Sequence[MixedLoad], seconds: float) -> list[Sample]:
    """Keeps the load up for so long and looks at the executor meanwhile."""
    begun, before, samples = time.monotonic(), 0, []
    for load in loads:
        load.__enter__()
    try:
        for number in range(1, SAMPLES + 1):
            time.sleep(max(begun + seconds * number / SAMPLES - time.monotonic(), 0))
            answers = sum(load.counts.total() for load in loads)
            samples.append(sample(running, world, begun, answers - before))
            before = answers
            if number % (SAMPLES // ROWS) == 0:
                show(samples[-(SAMPLES // ROWS) :])
    finally:
        for load in loads:
            load.__exit__(None, None, None)
    return samples


def show(row: Sequence[Sample]) -> None:
    last, answers = row[-1], sum(one.answers for one in row)
    print(
        f"{last.at_s:7.0f} {answers:9} {last.memory_mb:10.1f} {last.files:7} {last.tasks:7} {last.spool_mb:9.2f}",
        flush=True,
    )


def drifts(before: Sample, samples: Sequence[Sample], after: Sample, seconds: float) -> list[str]:
    """What grew, a sentence each."""
    found = []
    steady = [one for one in samples if one.at_s >= WARM_UP * seconds]
    slope = slope_a_minute(steady)
    print(f"memory after the warm-up: {slope:+.2f} MB a minute, {MOST_MB_A_MINUTE} may be", flush=True)
    if seconds < ENOUGH_S:
        print(f"too short to judge memory by: that takes {ENOUGH_S:.0f} s")
    elif slope > MOST_MB_A_MINUTE:
        found.append(f"memory grows by {slope:.2f} MB a minute")
    if after.tasks > before.tasks + MORE_TASKS:
        found.append(f"{after.tasks} tasks are left, there were {before.tasks}")
    half = len(steady) // 2
    files = [max(one.files for one in part) for part in (steady[:half], steady[half:])]
    if files[1] > files[0] + MORE_FILES:  # pools and connections of callers: they differ, and do not grow
        found.append(f"{files[1]} files are open, there were {files[0]}")
    first, second = (max(one.spool_mb for one in part) for part in (steady[:half], steady[half:]))
    if second > 2 * first + MORE_SPOOL_MB:
        found.append(f"the spool grew from {first:.2f} to {second:.2f} MB")
    return found


def calm(running: Running, world: World, before: Sample) -> Sample:
    """The executor once its callers are gone: connections are closed, and what was begun has ended."""

    def now() -> Sample:
        return sample(running, world, 0.0, 0)

    try:
        wait_until(lambda: now().tasks <= before.tasks + MORE_TASKS, what="calm", timeout_s=PATIENCE_S)
    except AssertionError:
        print("tasks are left", flush=True)
    return now()


def main() -> int:
    """Prints a table, then what grew."""
    seconds = float(os.environ.get("PENSTOCK_SOAK_S", SECONDS))
    promises = Promises()
    with tempfile.TemporaryDirectory() as folder, stopped_at_end(make_world(Path(folder) / "project")) as world:
        world.publish(noter=in_prod("1.0.0", world.release("noter", "1.0.0", tools=TOOLS)))
        (Path(folder) / "notes").mkdir()
        running = world.start(environment={"NOTES": f"{folder}/notes"})
        assert running.run(text="warm").status_code == 200
        before = sample(running, world, 0.0, 0)
        print(f"{'s':>7} {'answers':>9} {'memory MB':>10} {'files':>7} {'tasks':>7} {'spool MB':>9}")
        loads = loads_on(running, promises)
        samples = soaked(running, world, loads, seconds)
        after = calm(running, world, before)
        found = drifts(before, samples, after, seconds)
        database = open_database(load_settings(world.root).database)
        try:
            wait_until(lambda: not promises.open(database), what="every accepted run has ended", timeout_s=PATIENCE_S)
            found += promises.faults(database)
        finally:
            database.close()
        log = running.errors.read_text()
        found += [log[log.index("Traceback") :]] if "Traceback" in log else []
    became = {word for load in loads for _, word in load.counts}
    print(f"answers: {', '.join(f'{word} {sum(load.count(word) for load in loads)}' for word in sorted(became))}")
    for sentence in found:
        print(f"FAILED: {sentence}")
    print(f"{len(promises.all())} runs were promised, {'something grew or was broken' if found else 'all is flat'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
