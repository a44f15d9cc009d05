"""Promotions, rollbacks and operators' orders until they are live in ten readers; whom a growing canary moves."""

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from penstock.contracts.routing_table import RoutingTable as Table
from penstock.release.breaker import order_breaker
from penstock.release.canary import advance_by_hand
from penstock.release.degrade import degrade, undegrade
from penstock.release.driver import promote
from penstock.release.reconcile import reconcile
from penstock.release.rollback import roll_back
from penstock.release.stops import change_status, unhold
from penstock.release.workspace import Workspace, open_workspace
from penstock.routing import Caller, RoutingTable
from penstock.settings import load_settings
from penstock.testing.project import Project, project

READERS = 10
ROUNDS = 12
LONGEST_S = 30.0
LIMIT_S = 1.0
KEYS = 200_000
WEIGHTS_BP = (100, 500, 2500, 5000)
STICKY = ("session", "user", "tenant")
# A reader as an executor has it: the watch of `agentctl serve` alone in a process; it says when a table is live.
READER = """
import sys, time
from pathlib import Path
from penstock.routing.watch import TableWatch
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore
watch = TableWatch(ReleaseStore(open_objects(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))
watch.subscribe(lambda table: print(table.generation, time.clock_gettime(time.CLOCK_MONOTONIC), flush=True))
watch.start()
sys.stdin.read()
watch.close()
"""
HEAD = "apiVersion: penstock.dev/v1\nkind: {kind}\n"
META = "metadata: {{name: {name}, version: {version}, owner: qa}}\n"


def document(kind: str, name: str, version: str, spec: str) -> str:
    return HEAD.format(kind=kind) + META.format(name=name, version=version) + f"spec: {spec}\n"


def agent(version: str) -> dict[str, str]:
    spec = (
        "{mode: workflow, promptRef: prompts/helper@1.0.0, modelRef: models/standard@1.0.0, "
        "policyRefs: [policies/default@1.0.0], fallback: {models: [models/small@1.0.0]}, "
        "input: {schema: {type: string}}, output: {schema: {type: string}}, "
        "runtime: {selector: direct}}"
    )
    return {f"registry_repo/agents/helper/{version}.yaml": document("Agent", "helper", version, spec)}


FILES = {
    **agent("1.0.0"),
    **agent("1.1.0"),
    "registry_repo/prompts/helper/1.0.0.md": (
        f"---\n{document('Prompt', 'helper', '1.0.0', '{role: system}')}---\nYou help.\n"
    ),
    "registry_repo/models/standard/1.0.0.yaml": document(
        "Model",
        "standard",
        "1.0.0",
        "{model: scripted/qa-rules, contextTokens: 8000, price: {inputUsdPer1M: 0, outputUsdPer1M: 0}}",
    ),
    "registry_repo/models/small/1.0.0.yaml": document(
        "Model",
        "small",
        "1.0.0",
        "{model: scripted/qa-rules, contextTokens: 8000, price: {inputUsdPer1M: 0, outputUsdPer1M: 0}}",
    ),
    "registry_repo/policies/default/1.0.0.yaml": document(
        "Policy", "default", "1.0.0", "{rules: [{name: all, effect: allow}]}"
    ),
    "registry_repo/teams.yaml": (
        "teams:\n  qa: {members: [author@example.org]}\nreleaseManagers: [author@example.org]\n"
    ),
    "runtimes/direct.yaml": (
        f"{HEAD.format(kind='Runtime')}metadata: {{name: direct}}\n"
        "spec: {runtime: penstock, versions: '>=0.1,<1', adapter: direct, "
        "capabilities: {modes: [workflow], maxContextTokens: 100000}}\n"
    ),
    "pipelines/release.yaml": (
        f"{HEAD.format(kind='Pipeline')}metadata: {{name: default}}\n"
        "spec: {stages: {dev: {automatic: true}, canary: {}, prod: {}}, "
        "canary: {steps: [{percent: 1}, {percent: 5}, {percent: 25}, {percent: 50}]}}\n"
    ),
}


@dataclass
class Readers:
    """Watches in processes of their own, and what each said last: the generation that is live, and since when."""

    processes: list["subprocess.Popen[str]"] = field(default_factory=list)
    said: dict[int, tuple[int, float]] = field(default_factory=dict)

    def live_at(self, generation: int) -> list[float]:
        """When each reader had that generation or a later one live, by the machine's monotonic clock."""
        for number, process in enumerate(self.processes):
            assert process.stdout is not None
            while self.said.get(number, (0, 0.0))[0] < generation:
                line = process.stdout.readline().split()
                if not line:
                    raise EOFError("a reader ended")
                self.said[number] = int(line[0]), float(line[1])
        return [self.said[number][1] for number in range(len(self.processes))]


@contextmanager
def reading(folder: str, poll_ms: int, generation: int) -> Iterator[Readers]:
    """Ten readers of the release store, each with the table in force live."""
    readers = Readers()
    try:
        for number in range(READERS):
            words = [sys.executable, "-c", READER, f"{folder}/releases", f"{folder}/cache-{number}", str(poll_ms)]
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            readers.processes.append(process)
        readers.live_at(generation)
        yield readers
    finally:
        for process in readers.processes:
            process.communicate(timeout=LONGEST_S)


def present() -> float:
    """Seconds of a clock that all processes of the machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


@dataclass
class Times:
    """Seconds of the command itself, and of each reader from the command's start until its change is live there."""

    calls: list[float] = field(default_factory=list)
    live: list[float] = field(default_factory=list)

    def take(self, readers: Readers, workspace: Workspace, action: Callable[[Workspace], object]) -> None:
        """Times one command and the table that it publishes first: a rollback's commit makes another one after it."""
        generation = workspace.releases.highest_generation() + 1
        start = present()
        action(workspace)
        self.calls.append(present() - start)
        self.live += [moment - start for moment in readers.live_at(generation)]


def to_canary(workspace: Workspace) -> None:
    promote(workspace, ("helper", "1.1.0", "canary"))


def back(workspace: Workspace) -> None:
    roll_back(workspace, "helper", "bench", stage="canary", keep=True)


def rounds(made: Project, readers: Readers, fresh: Callable[[], Workspace]) -> dict[str, Times]:
    """To canary, back, and back again with the remote moved away, so often."""
    assert made.remote is not None
    away = made.remote.with_name("away.git")
    found = {"promote": Times(), "rollback": Times(), "rollback, Git stopped": Times()}
    for number in range(2 * ROUNDS):
        found["promote"].take(readers, fresh(), to_canary)
        gone = number % 2 == 1
        if gone:
            made.remote.rename(away)
        found["rollback, Git stopped" if gone else "rollback"].take(readers, fresh(), back)
        if gone:
            away.rename(made.remote)
        reconcile(fresh(), moves=False)
        unhold(fresh(), "helper", "bench")
    return found


def orders(made: Project, readers: Readers, fresh: Callable[[], Workspace]) -> dict[str, Times]:
    """What operators order, with the remote moved away; each order is taken back at once."""
    assert made.remote is not None
    away = made.remote.with_name("away.git")
    words: dict[str, tuple[Callable[[Workspace], object], Callable[[Workspace], object]]] = {
        "freeze, Git stopped": (
            lambda one: change_status(one, "freeze", "helper", "bench"),
            lambda one: change_status(one, "thaw", "helper", "bench"),
        ),
        "degrade, Git stopped": (
            lambda one: degrade(one, "helper", None, "bench"),
            lambda one: undegrade(one, "helper", "bench"),
        ),
        "breaker, Git stopped": (
            lambda one: order_breaker(one, "models/standard", "open", "bench"),
            lambda one: order_breaker(one, "models/standard", "closed", "bench"),
        ),
    }
    found = {name: Times() for name in words}
    for _ in range(ROUNDS):
        made.remote.rename(away)
        for name, (given, taken_back) in words.items():
            found[name].take(readers, fresh(), given)
            taken_back(fresh())
        away.rename(made.remote)
        reconcile(fresh(), moves=False)
    return found


def growing(fresh: Callable[[], Workspace]) -> list[Table]:
    """The tables of a canary on its way through its steps."""
    to_canary(fresh())
    tables: list[Table] = []
    for weight in WEIGHTS_BP:
        if tables:
            advance_by_hand(fresh(), "helper", "bench")
        table = fresh().releases.newest_table()
        assert table is not None
        canary = table.agents["helper"].canary
        assert canary is not None
        assert canary.weight_bp == weight
        tables.append(table)
    return tables


def on_canary(table: Table, sticky: str) -> set[int]:
    """The keys whose requests meet the canary when they stay together by `sticky`."""
    routes = table.agents["helper"].model_copy(update={"sticky_by": sticky})
    asked = RoutingTable(table.model_copy(update={"agents": {"helper": routes}}))
    found = set()
    for key in range(KEYS):
        name = f"{sticky}-{key}"
        names = {"tenant": "t", "user": "u", "session": "s", sticky: name}
        if asked.select("helper", Caller(names["tenant"], names["user"], names["session"], name)).stage == "canary":
            found.add(key)
    return found


def print_growth(tables: list[Table]) -> bool:
    """Whether anybody was thrown back, or a share is further than 3 sigma from its weight."""
    wrong = False
    print(f"\n{KEYS} keys while a canary grows {' -> '.join(f'{weight / 100:g}' for weight in WEIGHTS_BP)} %")
    print(f"{'sticky by':12} {'weight':>8} {'share':>9} {'sigmas':>7} {'limit':>6} {'thrown back':>12} {'limit':>6}")
    for sticky in STICKY:
        before: set[int] = set()
        for table, weight in zip(tables, WEIGHTS_BP, strict=True):
            now = on_canary(table, sticky)
            share = weight / 10_000
            sigmas = (len(now) - KEYS * share) / math.sqrt(KEYS * share * (1 - share))
            thrown = len(before - now)
            print(f"{sticky:12} {share:8.2%} {len(now) / KEYS:9.3%} {sigmas:7.2f} {3:6} {thrown:12} {0:6}")
            wrong = wrong or abs(sigmas) > 3 or thrown > 0
            before = now
    return wrong


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def print_times(found: dict[str, Times], poll_s: float) -> bool:
    """Whether the 99th percentile of anything is over a second."""
    print(
        f"seconds from the command's start until it is live in each of {READERS} readers, processes with a TableWatch"
    )
    print(f"{'':24} {'call p50':>9} {'live p50':>9} {'live p99':>9} {'limit':>6} {'p99/limit':>10} {'p99/poll':>9}")
    over = False
    for name, times in found.items():
        p50, p99 = quantile(times.live, 0.5), quantile(times.live, 0.99)
        call = statistics.median(times.calls)
        print(f"{name:24} {call:9.3f} {p50:9.3f} {p99:9.3f} {LIMIT_S:6.1f} {p99 / LIMIT_S:10.2f} {p99 / poll_s:9.1f}")
        over = over or p99 > LIMIT_S
    print(f"{'poll interval':24} {'':9} {poll_s:9.3f}   what a reader waits at most before it looks")
    return over


def main() -> int:
    """Prints the figures; returns 1 when a p99 is over a second, anybody is thrown back or a share is off."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PENSTOCK_RELEASES_URL"] = f"{folder}/releases"
        os.environ["PENSTOCK_DATABASE_URL"] = f"sqlite:///{folder}/store.db"
        made = project(FILES, Path(folder, "project"), remote=True)
        settings = load_settings(made.root)
        fresh: Callable[[], Workspace] = lambda: open_workspace(settings)  # noqa: E731
        done = reconcile(fresh())
        assert all(move.moved for move in done.moves), done.moves
        for stage in ("canary", "prod"):
            promote(fresh(), ("helper", "1.0.0", stage))
        with reading(folder, settings.poll_ms, fresh().releases.highest_generation()) as readers:
            found = {**rounds(made, readers, fresh), **orders(made, readers, fresh)}
        over = print_times(found, settings.poll_ms / 1000)
        wrong = print_growth(growing(fresh))
    return 1 if over or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
