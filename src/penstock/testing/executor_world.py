"""A project with two released agents, and executors of it as real processes on a free port."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from penstock.contracts.canonical import digest, digest_bytes
from penstock.contracts.document import API_VERSION
from penstock.contracts.release import Release
from penstock.contracts.routing_table import AgentRoutes, Entry, RoutingTable, TableSource
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore

PYPROJECT = '[tool.penstock]\ndriver = "ci"\ndefault_runtime = "direct"\n'
DIRECT = """\
apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0"
  adapter: direct
  capabilities:
    modes: [workflow, conversational]
    toolCalling: true
    streaming: true
    maxContextTokens: 1000000
  limits: {concurrentRuns: 500}
"""


NOTING = b"""\
import asyncio
import os
from pathlib import Path


async def note(arguments, ctx):
    folder = Path(os.environ["NOTES"])
    with (folder / "notes.txt").open("a") as file:
        file.write(f"{arguments['text']} {ctx.idempotency_key}\\n")
    while (folder / f"hold-{arguments['text']}").exists():
        await asyncio.sleep(0.01)
    return {"text": arguments["text"]}
"""
"""A tool's code: a line in $NOTES/notes.txt a call, then it waits while $NOTES/hold-<text> is there."""


def document(kind: str, name: str, version: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A document as a person would write it."""
    return {
        "apiVersion": "penstock.dev/v1",
        "kind": kind,
        "metadata": {"name": name, "version": version, "owner": "qa-platform"},
        "spec": spec,
    }


RULES = {"rules": [
    {"name": "strangers", "effect": "deny", "actions": ["run.start"], "subjects": ["tenant:stranger"], "reason": "no"},
    {"name": "all", "effect": "allow", "actions": ["run.start", "model.use", "tool.call"]},
]}  # fmt: skip


def component(folder: str, written: dict[str, Any]) -> dict[str, Any]:
    """The document as a component of a release."""
    head = written["metadata"]
    return {"ref": f"{folder}/{head['name']}@{head['version']}", "digest": digest(written), "document": written}


def make_release(
    agent: str,
    version: str,
    *,
    mode: str = "workflow",
    model: str = "paced/model",
    parameters: dict[str, Any] | None = None,
    transport: str = "",
    tools: Mapping[str, Mapping[str, Any]] | None = None,
    output_usd: float = 0,
    human: Mapping[str, Any] | None = None,
) -> tuple[Release, dict[str, bytes]]:
    """A release; its prompt says its version, its model's spec the transport if one is given.

    `tools` are fields of specs by name: such a tool writes its text down and waits while told to (`NOTING`);
    `output_usd` is the price of 1,000,000 tokens of an answer; `human` is the agent's `fallback.human`.
    """
    body = f"You are {agent} {version}.".encode()
    prompt = component("prompts", document("Prompt", agent, version, {"role": "system"}))
    pinned = document(
        "Agent",
        agent,
        version,
        {
            "mode": mode,
            "promptRef": f"prompts/{agent}@{version}",
            "modelRef": "models/paced@1.0.0",
            **({"toolRefs": [f"tools/{name}@1.0.0" for name in tools]} if tools else {}),
            "policyRefs": ["policies/default@1.0.0"],
            "input": {"schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}},
            "output": {"schema": {"type": "string"}},
            "limits": {"timeoutMs": 20_000},
            **({"fallback": {"human": human}} if human is not None else {}),
        },
    )
    price = {"inputUsdPer1M": 0, "outputUsdPer1M": output_usd}
    asked = {"model": model, "parameters": parameters or {}, "contextTokens": 100_000, "price": price}
    asked |= {"transport": transport} if transport else {}
    made = Release.model_validate(
        {
            "agent": component("agents", pinned),
            "prompt": {**prompt, "body": digest_bytes(body)},
            "policies": [component("policies", document("Policy", "default", "1.0.0", RULES))],
            "models": [component("models", document("Model", "paced", "1.0.0", asked))],
            "minEngine": "0.1.0",
            **({"tools": [_noting_tool(name, fields) for name, fields in tools.items()]} if tools else {}),
        }
    )
    return made, {digest_bytes(body): body, **({digest_bytes(NOTING): NOTING} if tools else {})}


def _noting_tool(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    text = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    spec = {
        "input": {"schema": text},
        "output": {"schema": text},
        "implementation": {"type": "python", "entry": "tool:note"},
        **fields,
    }
    files = [{"path": "tool.py", "digest": digest_bytes(NOTING)}]
    return {**component("tools", document("Tool", name, "1.0.0", spec)), "files": files}


@dataclass
class Running:
    """One executor process."""

    process: subprocess.Popen[str]
    url: str
    errors: Path

    def client(self, **headers: str) -> httpx.Client:
        """A client with these headers."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def run(
        self, agent: str = "echo", text: str = "hello", *, headers: dict[str, str] | None = None, **order: Any
    ) -> httpx.Response:
        """Runs an agent; further words are fields of the body."""
        given = {"text": text, **order.pop("input", {})}
        with self.client(**(headers or {})) as client:
            return client.post(f"/v1/agents/{agent}/runs", json={"input": given, **order})

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 20) -> int:
        """Sends a signal and waits; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout_s)


@dataclass
class World:
    """A project folder with its release store."""

    root: Path
    running: list[Running] = field(default_factory=list)

    @property
    def store(self) -> ReleaseStore:
        """The project's release store."""
        return ReleaseStore(open_objects(str(self.root / ".penstock/releases")))

    @property
    def seen(self) -> Path:
        """The file in which the model notes its calls."""
        return self.root / "seen.txt"

    def release(self, agent: str, version: str, **choices: Any) -> str:
        """Puts a release into the store; returns its digest."""
        made, blobs = make_release(agent, version, **choices)
        return self.store.put_release(made, blobs)

    def publish(self, **agents: AgentRoutes) -> int:
        """The next generation, with these agents changed."""
        before = self.store.newest_table()
        generation = self.store.highest_generation() + 1
        table = RoutingTable(
            lineage=self.store.lineage(create=True),
            generation=generation,
            created_at="2026-11-20T10:00:00.000000Z",
            source=TableSource(commit=None, kind="promote", actor="test@example.org"),
            agents={**(before.agents if before else {}), **agents},
        )
        assert self.store.create_table(table)
        return generation

    def start(self, *, port: int = 0, environment: dict[str, str] | None = None, ready: bool = True) -> Running:
        """Starts an executor, ready unless that is not asked for."""
        words = [sys.executable, "-m", "penstock.testing.paced_executor", str(self.root), str(self.seen), str(port)]
        running = launch(words, self.root / f"errors-{len(self.running)}.txt", environment)
        self.running.append(running)
        if ready:
            wait_until(lambda: httpx.get(f"{running.url}/readyz").status_code == 200, what="ready")
        return running

    def operate(self, spec: dict[str, Any]) -> None:
        """Lays down `pipelines/operations.yaml`, as an editor does: a new file under the old name."""
        folder = self.root / "pipelines"
        folder.mkdir(exist_ok=True)
        written = {"apiVersion": API_VERSION, "kind": "Operations", "metadata": {"name": "default"}, "spec": spec}
        (folder / "new").write_text(json.dumps(written))
        (folder / "new").replace(folder / "operations.yaml")

    def seen_lines(self) -> list[str]:
        """What the model noted so far."""
        return self.seen.read_text().splitlines() if self.seen.exists() else []


def launch(words: list[str], errors: Path, environment: dict[str, str] | None = None) -> Running:
    """Starts a process and reads its URL from the first line of its output."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    with errors.open("w") as file:
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=file, text=True, env={**inherited, **(environment or {})}
        )
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 30)
    line = process.stdout.readline().strip() if readable else ""
    if not line.startswith("http"):
        process.kill()
        process.wait()
        raise AssertionError(f"no URL but {line!r}: {errors.read_text()}")
    return Running(process, line, errors)


def wait_until(condition: Callable[[], Any], *, what: str, timeout_s: float = 20) -> None:
    """Asks every 10 ms until the condition holds; fails after `timeout_s`."""
    limit = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)


def in_prod(version: str, release: str, **more: Any) -> AgentRoutes:
    """An agent with one version, in prod."""
    return AgentRoutes(prod=Entry(version=version, release=release, runtime="direct"), **more)


def empty_world(root: Path) -> World:
    """A project with the direct runtime and nothing released."""
    (root / "runtimes").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "runtimes/direct.yaml").write_text(DIRECT)
    return World(root)


def make_world(root: Path) -> World:
    """A project with the agents `echo` (workflow) and `talk` (conversational), both 1.0.0 in prod."""
    world = empty_world(root)
    world.publish(
        echo=in_prod("1.0.0", world.release("echo", "1.0.0")),
        talk=in_prod("1.0.0", world.release("talk", "1.0.0", mode="conversational")),
    )
    return world


@contextlib.contextmanager
def stopped_at_end(world: World) -> Iterator[World]:
    """Ends all executors that are still there."""
    try:
        yield world
    finally:
        for running in world.running:
            if running.process.poll() is None:
                running.process.kill()
            running.process.wait()
            if running.process.stdout is not None:
                running.process.stdout.close()
