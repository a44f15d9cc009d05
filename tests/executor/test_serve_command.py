"""`agentctl serve` as people start it, with the model library."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx

from penstock.testing.executor_world import World, in_prod, launch, wait_until

AGENTCTL = [sys.executable, "-m", "penstock.cli.main"]
SERVE = ["serve", "--insecure-dev", "--port", "0"]


def agentctl(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*AGENTCTL, "--project", str(root), *words], capture_output=True, text=True, timeout=60)


def test_without_identity_it_does_not_start(world: World) -> None:
    refused = agentctl(world.root, "serve")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--insecure-dev" in refused.stderr
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):
        abroad = agentctl(world.root, *SERVE, "--host", host)
        assert (abroad.returncode, "no loopback address" in abroad.stderr) == (2, True)


def test_without_the_server_extra_it_says_what_to_install(world: World) -> None:
    hidden = (
        "import sys; sys.modules['uvicorn'] = None; from penstock.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", hidden, "--project", str(world.root), *SERVE]
    refused = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, "pip install 'penstock[server]'" in refused.stderr) == (3, True)


def test_a_run_here_needs_no_server_library() -> None:
    loaded = "import sys, penstock.executor.executor, penstock.executor.client; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [
        name for name in ("fastapi", "starlette", "uvicorn", "litellm", "langgraph") if f"'{name}'" in done.stdout
    ] == []


def test_a_port_in_use_is_named(world: World) -> None:
    port = httpx.URL(world.start().url).port
    taken = agentctl(world.root, "serve", "--insecure-dev", "--port", str(port))
    assert (taken.returncode, "cannot listen" in taken.stderr) == (3, True)


def test_a_database_of_a_newer_penstock_is_no_outage(world: World) -> None:
    assert world.start().stop() == 0
    with sqlite3.connect(world.root / ".penstock/store.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    refused = agentctl(world.root, *SERVE)
    assert (refused.returncode, "made by a newer penstock" in refused.stderr) == (3, True)


def test_the_real_model_library_answers_and_is_loaded_before_readiness(world: World) -> None:
    release = world.release("echo", "2.0.0", model="scripted/qa-rules")
    world.publish(echo=in_prod("2.0.0", release))
    words = [*AGENTCTL, "--project", str(world.root), *SERVE, "--log-format", "json", "--access-log"]
    executor = launch(words, world.root / "errors-serve.txt")
    world.running.append(executor)
    ready = httpx.get(f"{executor.url}/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["the model library is loading"])
    wait_until(lambda: httpx.get(f"{executor.url}/readyz").status_code == 200, what="ready", timeout_s=60)
    result = executor.run(text="The user can log in within 5 seconds.").json()
    assert result["status"] == "finished"
    assert result["output"].startswith("Scripted model")
    assert executor.stop() == 0
    said = executor.errors.read_text().splitlines()
    assert said[0].startswith("insecure: no identity")
    logged = [json.loads(line) for line in said if line.startswith("{")]
    (asked,) = [line for line in logged if line.get("path") == "/v1/agents/echo/runs"]
    assert (asked["method"], asked["status"], asked["traceId"]) == ("POST", 200, result["traceId"])

    here = agentctl(world.root, "run", "echo", "--input", '{"text": "The user can log in."}', "--json")
    assert here.returncode == 0, here.stderr
    answered = json.loads(here.stdout)
    assert (answered["version"], answered["mode"]) == ("2.0.0", "live")
    listed = json.loads(agentctl(world.root, "runs", "--json").stdout)["runs"]
    assert [run["runId"] for run in listed] == [answered["runId"], result["runId"]]
    assert agentctl(world.root, "replay", "--run-id", result["runId"]).returncode == 0


def test_a_draft_runs_dry_and_leaves_nothing_behind(tmp_path: Path) -> None:
    root = tmp_path / "laid-down"
    laid = subprocess.run([*AGENTCTL, "init", str(root)], capture_output=True, text=True, timeout=60)
    assert laid.returncode == 0, laid.stderr
    before = {path for path in root.rglob("*") if ".git" not in path.parts}
    requirement = json.dumps({"requirement": "The user can reset the password within 15 minutes.", "product": "Shop"})
    agent = next((root / "registry_repo/agents").iterdir()).name
    dry = agentctl(root, "run", agent, "--dry", "--input", requirement, "--json")
    assert dry.returncode == 0, dry.stderr
    result = json.loads(dry.stdout)
    assert (result["status"], result["mode"], result["stage"]) == ("finished", "dry", "dev")
    assert {path for path in root.rglob("*") if ".git" not in path.parts} == before
    staged = agentctl(root, "run", agent, "--dry", "--stage", "prod", "--input", requirement)
    assert (staged.returncode, "a draft stands in no stage" in staged.stderr) == (2, True)
    unreleased = agentctl(root, "run", agent, "--input", requirement)
    assert (unreleased.returncode, "no routing table" in unreleased.stderr) == (3, True)
