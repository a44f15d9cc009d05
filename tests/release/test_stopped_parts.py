"""Rollback with Git, the database and Dagster each stopped: in force in real executors, and nothing undoes it."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest

from penstock.errors import Conflict, Refused, Unavailable
from penstock.registry.git_command import git_within
from penstock.release import urgent
from penstock.release.apply import apply_plan
from penstock.release.driver import plan_promotion
from penstock.release.rollback import roll_back
from penstock.release.stops import unhold
from penstock.store import database
from penstock.testing.executor_world import Running, launch, wait_until

World = Any
Patch = pytest.MonkeyPatch
APPROVER, MANAGER = ("Ben Approver", "approver@example.org"), ("Mia Manager", "manager@example.org")
EXECUTORS = 2
LOCK = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
pytestmark = pytest.mark.xdist_group("stopped parts")


@dataclass
class Shop:
    """helper 1.0.0 and 1.1.0, either of them in prod; both stood there. Executors serve it."""

    here: World
    executors: list[Running] = field(default_factory=list)

    @property
    def serving(self) -> str:
        return str(self.here.routes().prod.version)

    @property
    def other(self) -> str:
        return "1.0.0" if self.serving == "1.1.0" else "1.1.0"

    def start(self, number: int) -> Running:
        folder = self.here.home / f"executor-{number}"
        surroundings = {
            "PENSTOCK_RELEASES_URL": str(self.here.home / "releases"),
            "PENSTOCK_DATABASE_URL": f"sqlite:///{self.here.home / 'store.db'}",
            "PENSTOCK_SPOOL_DIR": str(folder / "spool"),
            "PENSTOCK_CACHE_DIR": str(folder / "cache"),
        }
        words = [sys.executable, "-m", "penstock.testing.paced_executor", str(self.here.author.root), "-"]
        running = launch(words, self.here.home / f"errors-{number}.txt", surroundings)
        self.executors.append(running)
        return running

    def require_served(self, version: str) -> None:
        """Every executor answers by that version, once it has looked."""
        for running in self.executors:
            wait_until(partial(serves, running, version), what=f"{version} in {running.url}", timeout_s=60)


def serves(running: Running, version: str) -> bool:
    with contextlib.suppress(httpx.HTTPError), running.client() as client:
        answer = client.post("/v1/agents/helper/runs", json={"input": '{"text": "hello"}'})
        if answer.status_code == 200:
            return bool(answer.json()["version"] == version)
    return False


@pytest.fixture(scope="module")
def shop(lasting_world: Callable[..., World]) -> Iterator[Shop]:
    model = "registry_repo/models/standard/1.0.0.yaml"
    here = lasting_world("helper", "other", files={model: PACED})
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.to_prod("helper", "1.1.0")
    here.add("helper", "1.2.0")
    here.reconcile()
    made = Shop(here)
    try:
        for number in range(EXECUTORS):
            made.start(number)
        made.require_served("1.1.0")
        yield made
    finally:
        for running in made.executors:
            with running.process as process:
                process.kill()


PACED = """\
apiVersion: penstock.dev/v1
kind: Model
metadata: {name: standard, version: 1.0.0, owner: qa}
spec: {model: paced/model, contextTokens: 8000, price: {inputUsdPer1M: 0, outputUsdPer1M: 0}}
"""


@contextlib.contextmanager
def git_away(here: World, _: Patch) -> Iterator[str]:
    remote = here.author.remote
    away = remote.with_name("away.git")
    remote.rename(away)
    try:
        yield "git fetch failed"
    finally:
        away.rename(remote)


@contextlib.contextmanager
def git_hangs(here: World, patched: Patch) -> Iterator[str]:
    """The remote takes the connection and never says a word."""
    patched.setattr(urgent, "GIT_S", 0.5)
    clone = here.clone(MANAGER)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        clone.git("remote", "set-url", "origin", f"git://127.0.0.1:{silent.getsockname()[1]}/registry.git")
        try:
            yield "git fetch gave no answer within "  # what is left of it for this command
        finally:
            clone.git("remote", "set-url", "origin", str(here.author.remote))


@contextlib.contextmanager
def database_locked(here: World, patched: Patch) -> Iterator[str]:
    patched.setattr(database, "BUSY_MS", 200)
    words = [sys.executable, "-c", LOCK, str(here.home / "store.db")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        try:
            yield ""
        finally:
            holder.stdin.close()
            assert holder.wait(30) == 0


@contextlib.contextmanager
def database_hangs(here: World, patched: Patch) -> Iterator[str]:
    """A PostgreSQL that takes the connection and never says a word."""
    patched.setattr(urgent, "INDEX_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        patched.setenv("PENSTOCK_DATABASE_URL", f"postgresql://penstock@127.0.0.1:{silent.getsockname()[1]}/penstock")
        yield ""
    patched.undo()


@contextlib.contextmanager
def database_refuses(here: World, patched: Patch) -> Iterator[str]:
    """A PostgreSQL whose port nobody listens on."""
    patched.setenv("PENSTOCK_DATABASE_URL", "postgresql://penstock@127.0.0.1:9/penstock")
    yield ""
    patched.undo()


@contextlib.contextmanager
def dagster_down(here: World, patched: Patch) -> Iterator[str]:
    """Dagster moves promotions, and no daemon of it runs."""
    patched.setenv("PENSTOCK_DRIVER", "dagster")
    yield ""
    patched.undo()


PARTS = [git_away, git_hangs, database_locked, database_refuses, database_hangs, dagster_down]


@pytest.mark.parametrize("stopped", PARTS)
def test_a_rollback_is_in_force_and_nothing_undoes_it(
    shop: Shop, monkeypatch: Patch, stopped: Callable[[World, Patch], Any]
) -> None:
    here, back = shop.here, shop.other
    early = planned_before(here)
    with stopped(here, monkeypatch) as problem:
        done = roll_back(here.workspace(MANAGER), "helper", "bad answers", stage="prod", to=back, keep=True)
        assert problem in done.pending
        assert bool(done.pending) == bool(problem)
        shop.require_served(back)
        assert bool(here.table().overlay) == bool(problem)

    for applied in early:
        with contextlib.suppress(Conflict, Refused):
            applied()
    assert here.routes("other").canary is not None, "another agent goes on"
    for _ in range(2):
        assert here.reconcile().drift == []
    assert (shop.serving, here.table().overlay, here.routes().canary) == (back, {}, None)
    assert here.routes().hold["reason"] == "bad answers"
    assert f"prod: {{version: {back}" in here.stages_text()
    shop.require_served(back)
    assert unhold(here.workspace(MANAGER), "helper", "over").pending == ""


def planned_before(here: World) -> list[Callable[[], object]]:
    """Promotions to canary that were planned before: of the agent itself, and of another."""
    found: list[Callable[[], object]] = []
    for agent, version in (("helper", "1.2.0"), ("other", "1.0.0")):
        if here.routes(agent).canary is not None:
            continue
        here.approve(agent, version, "canary", APPROVER)
        workspace = here.workspace(APPROVER)
        workspace.fetch()
        planned = plan_promotion(workspace, (agent, version, "canary"))
        assert planned.ready, planned.unmet
        found.append(partial(apply_plan, workspace, planned, APPROVER[1]))
    return found


def test_an_executor_that_starts_anew_serves_what_was_rolled_back_to(shop: Shop, monkeypatch: Patch) -> None:
    here, back = shop.here, shop.other
    with git_away(here, monkeypatch):
        roll_back(here.workspace(MANAGER), "helper", "bad answers", stage="prod", to=back, keep=True)
        shop.require_served(back)
        with shop.executors.pop().process as old:
            old.terminate()
            assert old.wait(60) == 0
        shop.start(EXECUTORS)
        shop.require_served(back)
    here.reconcile()
    shop.require_served(back)
    assert unhold(here.workspace(MANAGER), "helper", "over").pending == ""


def test_a_git_that_hangs_is_ended_with_its_helpers(shop: Shop, monkeypatch: Patch) -> None:
    with git_hangs(shop.here, monkeypatch), git_within(0.3):
        workspace = shop.here.workspace(MANAGER)
        for _ in range(2):
            with pytest.raises(Unavailable, match="gave no answer"):
                workspace.fetch()
