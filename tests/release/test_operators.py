"""Degrade, freeze, thaw, disable: in force in a real executor with Git and the database stopped, and on record."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from penstock.errors import NotFound, Refused, WrongUse
from penstock.release.automatic import measured_plan
from penstock.release.degrade import chosen_model, degrade
from penstock.release.driver import plan_promotion, promote
from penstock.store import database
from penstock.testing.example_release import example_release
from penstock.testing.executor_world import Running, launch, wait_until

World = Any
Patch = pytest.MonkeyPatch
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")
STRANGER = ("Sam Stranger", "stranger@example.org")
SMALL = "models/small@1.0.0"
MODEL = """\
apiVersion: penstock.dev/v1
kind: Model
metadata: {{name: {name}, version: 1.0.0, owner: qa}}
spec: {{model: paced/model, contextTokens: 8000, price: {{inputUsdPer1M: 0, outputUsdPer1M: 0}}}}
"""
AGENT = """\
apiVersion: penstock.dev/v1
kind: Agent
metadata: {{name: helper, version: {version}, owner: qa}}
spec:
  mode: workflow
  promptRef: prompts/helper@1.0.0
  modelRef: models/standard@1.0.0
  fallback: {{models: [{spares}]}}
  policyRefs: [policies/default@1.0.0]
  input: {{schema: {{type: string}}}}
  output: {{schema: {{type: string}}}}
  runtime: {{selector: direct}}
"""
LOCK = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@dataclass
class Shop:
    """helper 1.0.0 in prod with the spares `second` and `small`, `other` in dev without any; an executor serves."""

    here: World
    executor: Running

    def run(self) -> dict[str, Any]:
        with self.executor.client() as client:
            answer: dict[str, Any] = client.post("/v1/agents/helper/runs", json={"input": '{"text": "hello"}'}).json()
        return answer

    def require(self, shows: Callable[[dict[str, Any]], bool], what: str) -> None:
        wait_until(lambda: shows(self.run()), what=what, timeout_s=60)


@pytest.fixture(scope="module")
def shop(lasting_world: Callable[..., World]) -> Iterator[Shop]:
    models = {
        f"registry_repo/models/{name}/1.0.0.yaml": MODEL.format(name=name) for name in ("standard", "second", "small")
    }
    agent = AGENT.format(version="1.0.0", spares="models/second@1.0.0, models/small@1.0.0")
    here = lasting_world("helper", "other", files={**models, "registry_repo/agents/helper/1.0.0.yaml": agent})
    here.to_prod("helper", "1.0.0")
    here.workspace(STRANGER)
    surroundings = {
        "PENSTOCK_RELEASES_URL": str(here.home / "releases"),
        "PENSTOCK_DATABASE_URL": f"sqlite:///{here.home / 'store.db'}",
        "PENSTOCK_SPOOL_DIR": str(here.home / "executor/spool"),
        "PENSTOCK_CACHE_DIR": str(here.home / "executor/cache"),
    }
    words = [sys.executable, "-m", "penstock.testing.paced_executor", str(here.author.root), "-"]
    running = launch(words, here.home / "errors.txt", surroundings)
    try:
        made = Shop(here, running)
        made.require(lambda answer: answer.get("status") == "finished", "the first answer")
        yield made
    finally:
        with running.process as process:
            process.kill()


@contextlib.contextmanager
def git_and_database_stopped(here: World) -> Iterator[None]:
    remote = here.author.remote
    away = remote.with_name("away.git")
    words = [sys.executable, "-c", LOCK, str(here.home / "store.db")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        remote.rename(away)
        try:
            yield
        finally:
            away.rename(remote)
            holder.stdin.close()
            assert holder.wait(30) == 0


def test_each_command_is_in_force_and_on_record_with_git_and_the_database_stopped(
    shop: Shop, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = shop.here
    monkeypatch.setattr(database, "BUSY_MS", 100)
    before = here.table().generation
    assert to(shop.run()) is None
    orders = [
        (("degrade", "helper", "--to", "models/second@1.0.0"), lambda one: to(one) == "models/second@1.0.0"),
        (("degrade", "helper"), lambda one: to(one) == SMALL),
        (("freeze", "helper"), lambda one: "is frozen and takes no new run: freeze it" in one.get("what", "")),
        (("thaw", "helper"), lambda one: to(one) == SMALL),
        (("disable", "helper"), lambda one: "is disabled" in one.get("what", "")),
        (("thaw", "helper"), lambda one: to(one) == SMALL),
        (("degrade", "helper", "--off"), lambda one: one.get("status") == "finished" and to(one) is None),
    ]
    with git_and_database_stopped(here):
        for words, shows in orders:
            assert here.cli(MANAGER, *words, "--reason", f"{words[0]} it") == 0
            assert "not committed yet" in capsys.readouterr().out
            shop.require(shows, " ".join(words))
    assert here.cli(MANAGER, "routes", "history", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["generations"]
    kinds = ["degrade", "degrade", "freeze", "thaw", "disable", "thaw", "degrade-off"]
    made = [one for one in reversed(rows) if one["generation"] > before]
    assert [one["kind"] for one in made] == kinds
    assert {(one["actor"], one["reason"] == f"{one['kind'].removesuffix('-off')} it") for one in made} == {
        (MANAGER[1], True)
    }
    assert all(one["createdAt"] for one in made)
    assert here.reconcile().drift == []
    assert here.table().overlay == {}
    assert [line.split()[0].lower() for line in here.log()[: len(kinds)]] == kinds[::-1]
    assert "degraded" not in here.stages_text()


def to(answer: dict[str, Any]) -> str | None:
    return next((one["to"] for one in answer.get("fallbacks", ()) if one["kind"] == "degrade"), None)


def test_it_follows_into_the_stages_file_and_is_seen_everywhere(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    here = shop.here
    assert here.cli(MANAGER, "degrade", "helper", "--reason", "too dear") == 0
    assert "prod 1.0.0; degraded to models/small@1.0.0 by manager@example.org: too dear" in capsys.readouterr().out
    assert f'  degraded: {{model: "{SMALL}", by: "manager@example.org", since: "' in here.stages_text()
    assert here.cli(MANAGER, "status", "helper") == 0
    assert f"  degraded to {SMALL} by manager@example.org since 20" in capsys.readouterr().out
    assert here.cli(MANAGER, "routes") == 0
    assert f"helper [active]: prod 1.0.0; degraded to {SMALL}" in capsys.readouterr().out
    with pytest.raises(Refused, match=f"helper: it is degraded to {SMALL} already"):
        degrade(here.workspace(MANAGER), "helper", SMALL, "again")

    here.merge({"registry_repo/agents/helper/1.1.0.yaml": AGENT.format(version="1.1.0", spares="")}, "Add helper@1.1.0")
    here.reconcile()
    here.approve("helper", "1.1.0", "canary", APPROVER)
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    planned = plan_promotion(workspace, ("helper", "1.1.0", "canary"))
    assert [one.kind for one in planned.unmet] == ["degraded"]
    assert "`agentctl degrade helper --off` ends it" in planned.unmet[0].sentence
    promote(workspace, ("helper", "1.1.0", "canary"), override="it does not need the model")
    assert here.reconcile().drift == []
    assert here.cli(MANAGER, "degrade", "helper", "--to", "models/second@1.0.0", "--reason", "rather") == 0
    assert "canary 1.1.0 has no such model: its runs ask their own" in capsys.readouterr().err
    assert here.cli(MANAGER, "degrade", "helper", "--off", "--reason", "paid for") == 0
    assert "degraded" not in here.stages_text()
    assert here.cli(MANAGER, "degrade", "helper", "--off", "--reason", "paid for") == 1
    assert "helper: it is not degraded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("who", "agent", "model", "error", "told"),
    [
        (MANAGER, "helper", "models/standard@1.0.0", Refused, "the model that helper@1.0.0 asks first anyway"),
        (MANAGER, "helper", "models/huge@1.0.0", Refused, "models/huge@1.0.0 is no model of helper@1.0.0"),
        (MANAGER, "helper", "tools/search@1.0.0", WrongUse, "is no model"),
        (MANAGER, "helper", "small", WrongUse, "small"),
        (MANAGER, "other", None, Refused, "nothing of other stands in prod or canary"),
        (MANAGER, "nobody", None, NotFound, "nobody"),
        (STRANGER, "helper", None, Refused, r"stranger@example\.org may not degrade"),
    ],
)
def test_what_makes_no_sense_is_refused(
    shop: Shop, who: tuple[str, str], agent: str, model: str | None, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        degrade(shop.here.workspace(who), agent, model, "x")


def test_what_is_meant_without_a_name_is_the_last_spare_else_the_model_of_simple_runs() -> None:
    tiers = {"simple": SMALL, "medium": "models/standard@1.0.0", "complex": "models/big@1.0.0"}
    spare = {"fallback": {"models": ["models/second@1.0.0"]}}
    for more, last in (({}, SMALL), (spare, "models/second@1.0.0")):
        release, _ = example_release({"modelRef": tiers, **more})
        assert chosen_model(release, None) == last
        for model in tiers.values():
            assert chosen_model(release, model) == model


def test_a_release_without_a_spare_says_what_to_declare(shop: Shop) -> None:
    here = shop.here
    measured_plan(here.workspace(MANAGER), "other", "1.0.0", "canary")
    here.to_canary("other", "1.0.0")
    with pytest.raises(Refused, match=r"other@1\.0\.0 has no model but models/standard@1\.0\.0") as refused:
        degrade(here.workspace(MANAGER), "other", None, "x")
    assert "spec: {fallback: {models: [models/small@1.0.0]}}" in refused.value.now
