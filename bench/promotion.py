"""Promote -> live and rollback -> live in an executor's watch, with Git and with Git gone, beside their limits."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from penstock.release.driver import promote
from penstock.release.reconcile import reconcile
from penstock.release.rollback import roll_back
from penstock.release.stops import unhold
from penstock.release.workspace import Workspace, open_workspace
from penstock.routing.watch import TableWatch
from penstock.settings import load_settings
from penstock.testing.project import Project, project

ROUNDS = 15
LONGEST_S = 30.0
LIMIT_S = 1.0
HEAD = "apiVersion: penstock.dev/v1\nkind: {kind}\n"
META = "metadata: {{name: {name}, version: {version}, owner: qa}}\n"


def document(kind: str, name: str, version: str, spec: str) -> str:
    return HEAD.format(kind=kind) + META.format(name=name, version=version) + f"spec: {spec}\n"


def agent(version: str) -> dict[str, str]:
    spec = (
        "{mode: workflow, promptRef: prompts/helper@1.0.0, modelRef: models/standard@1.0.0, "
        "policyRefs: [policies/default@1.0.0], input: {schema: {type: string}}, output: {schema: {type: string}}, "
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
    "registry_repo/policies/default/1.0.0.yaml": document(
        "Policy", "default", "1.0.0", "{rules: [{name: all, effect: allow}]}"
    ),
    "registry_repo/teams.yaml": "teams:\n  qa: {members: [author@example.org]}\n",
    "runtimes/direct.yaml": (
        f"{HEAD.format(kind='Runtime')}metadata: {{name: direct}}\n"
        "spec: {runtime: penstock, versions: '>=0.1,<1', adapter: direct, "
        "capabilities: {modes: [workflow], maxContextTokens: 100000}}\n"
    ),
    "pipelines/release.yaml": (
        f"{HEAD.format(kind='Pipeline')}metadata: {{name: default}}\n"
        "spec: {stages: {dev: {automatic: true}, canary: {}, prod: {}}, canary: {steps: [{percent: 20}]}}\n"
    ),
}


def timed(watch: TableWatch, workspace: Workspace, action: Callable[[Workspace], object]) -> tuple[float, float]:
    """Seconds of the call itself, and from its start until the watch has the newest table live."""
    start = time.perf_counter()
    action(workspace)
    called = time.perf_counter() - start
    if not watch.wait_for(workspace.releases.highest_generation(), LONGEST_S):
        raise TimeoutError(f"the table was not live within {LONGEST_S} s: {watch.problem}")
    return called, time.perf_counter() - start


def to_canary(workspace: Workspace) -> None:
    promote(workspace, ("helper", "1.1.0", "canary"))


def back(workspace: Workspace) -> None:
    roll_back(workspace, "helper", "bench", stage="canary", keep=True)


def rounds(made: Project, watch: TableWatch, fresh: Callable[[], Workspace]) -> dict[str, list[tuple[float, float]]]:
    """To canary, back, and back again with the remote moved away, so often."""
    assert made.remote is not None
    away = made.remote.with_name("away.git")
    found: dict[str, list[tuple[float, float]]] = {"promote": [], "rollback": [], "rollback, Git gone": []}
    for number in range(2 * ROUNDS):
        found["promote"].append(timed(watch, fresh(), to_canary))
        gone = number % 2 == 1
        if gone:
            made.remote.rename(away)
        found["rollback, Git gone" if gone else "rollback"].append(timed(watch, fresh(), back))
        if gone:
            away.rename(made.remote)
        reconcile(fresh(), moves=False)
        unhold(fresh(), "helper", "bench")
    return found


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> int:
    """Prints p50 and p99 in seconds; returns 1 when a p99 of start -> live is over a second."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PENSTOCK_RELEASES_URL"] = f"{folder}/releases"
        os.environ["PENSTOCK_DATABASE_URL"] = f"sqlite:///{folder}/store.db"
        made = project(FILES, Path(folder, "project"), remote=True)
        settings = load_settings(made.root)
        fresh: Callable[[], Workspace] = lambda: open_workspace(settings)  # noqa: E731
        done = reconcile(fresh())
        assert all(move.moved for move in done.moves), done.moves
        watch = TableWatch(fresh().releases, Path(folder, "cache"), settings.poll_ms).start()
        try:
            found = rounds(made, watch, fresh)
        finally:
            watch.close()
    print(f"{'':24} {'call p50':>9} {'live p50':>9} {'live p99':>9} {'limit':>6}   seconds, from the call's start")
    over = False
    for name, times in found.items():
        live = [one[1] for one in times]
        call = statistics.median(one[0] for one in times)
        print(f"{name:24} {call:9.3f} {quantile(live, 0.5):9.3f} {quantile(live, 0.99):9.3f} {LIMIT_S:6.1f}")
        over = over or quantile(live, 0.99) > LIMIT_S
    print(f"{'poll interval':24} {'':9} {settings.poll_ms / 1000:9.3f}   what a reader waits at most before it looks")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
