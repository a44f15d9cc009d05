"""Cancel and timeouts: whoever ends a run, and wherever it is, its work ends within a second and nothing is left."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import uvloop

from penstock.cli.main import main
from penstock.contracts.canonical import digest_bytes
from penstock.contracts.release import Release
from penstock.executor.app import build_app
from penstock.executor.executor import Executor
from penstock.executor.protocol import BoundedProtocol
from penstock.executor.server import _Server
from penstock.settings import Settings, load_settings
from penstock.testing.executor_world import (
    World,
    component,
    document,
    empty_world,
    in_prod,
    make_release,
    wait_until,
)
from penstock.testing.model_server import ModelServer
from penstock.testing.processes import is_running
from penstock.testing.tool_server import ToolServer

WITHIN_S = 1.0
ASYNC = """import asyncio
from pathlib import Path
async def act(arguments, ctx):
    Path(ctx.params["mark"] + ".began").touch()
    try:
        await asyncio.Event().wait()
    finally:
        Path(ctx.params["mark"] + ".left").touch()
"""
PLAIN = """import os, time
from pathlib import Path
def act(arguments, ctx):
    Path(ctx.params["mark"] + ".part").write_text(str(os.getpid()))
    os.rename(ctx.params["mark"] + ".part", ctx.params["mark"] + ".pid")
    time.sleep(600)
"""
STUBBORN = """import asyncio
async def act(arguments, ctx):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return {"late": True}
"""


@dataclass
class Served:
    """An executor in a thread of this process, and the two servers that its runs reach."""

    executor: Executor
    url: str
    loop: asyncio.AbstractEventLoop
    models: ModelServer
    tools: ToolServer
    marks: Path
    idle_tasks: int = 0
    at_start: dict[str, int] = field(default_factory=dict)

    def on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of something done on the executor's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def tasks(self) -> int:
        """How many tasks there are on the executor's loop, the one that counts apart."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        found: int = self.on_loop(count())
        return found

    def mark(self, name: str) -> Path:
        """A file in which a tool says where it is."""
        return self.marks / name

    def pid(self) -> int:
        """The worker of the plain tool."""
        return int(self.mark("plain.pid").read_text())


@dataclass(frozen=True)
class Place:
    """Where a run is: its agent, how it is known that it got there, and that its work ended."""

    agent: str
    reached: Callable[[Served], bool]
    left: Callable[[Served], bool]
    stream: bool = False


def _left_model(served: Served) -> bool:
    seen = served.models.statistics
    return seen.in_flight == 0 and seen.disconnects == served.at_start["disconnects"] + 1


PLACES = {
    "a model call": Place("hang", lambda served: served.models.statistics.in_flight == 1, _left_model),
    "a streamed model call": Place(
        "slow", lambda served: served.models.statistics.in_flight == 1, _left_model, stream=True
    ),
    "an async tool": Place(
        "async", lambda served: served.mark("async.began").exists(), lambda served: served.mark("async.left").exists()
    ),
    "a plain tool": Place(
        "plain", lambda served: served.mark("plain.pid").exists(), lambda served: not is_running(served.pid())
    ),
    "an http tool": Place(
        "web",
        lambda served: served.tools.in_flight == 1,
        lambda served: served.tools.disconnects == served.at_start["tool disconnects"] + 1,
    ),
}


def release(agent: str, model: str, models: ModelServer, **more: Any) -> tuple[Release, dict[str, bytes]]:
    """An agent whose prompt names its tool, which the scripted model then calls; its model goes without LiteLLM."""
    asked: dict[str, Any] = {"model": model, "parameters": dict(models.parameters), "transport": "openai-compatible"}
    made, blobs = make_release(agent, "1.0.0", **asked)
    written = made.as_document()
    written["models"][0]["document"]["spec"] |= more.get("model_spec", {})
    written["agent"]["document"]["spec"]["limits"] = more.get("limits", {"timeoutMs": 20_000})
    code = more.get("code")
    if "tool" in more:
        shape = {"schema": {"type": "object"}}
        tool = document("Tool", agent, "1.0.0", {"input": shape, "output": shape, **more["tool"]})
        files = [{"path": "tool.py", "digest": digest_bytes(code.encode())}] if code else []
        written["tools"] = [{**component("tools", tool), "params": more.get("params", {}), "files": files}]
    if code:
        blobs[digest_bytes(code.encode())] = code.encode()
    return Release.model_validate(written), blobs


def fill(world: World, models: ModelServer, tools: ToolServer, marks: Path) -> None:
    """Publishes the agents."""
    python = {"implementation": {"type": "python", "entry": "tool:act"}, "sideEffects": "read"}
    web = {"implementation": {"type": "http", "method": "GET", "url": f"{tools.url}/hang"}, "sideEffects": "read"}

    def params(name: str) -> dict[str, str]:
        return {"mark": str(marks / name)}

    made = {
        "hang": release("hang", "qa-rules+hang", models),
        "slow": release("slow", "qa-rules+slow-300", models),
        "async": release("async", "qa-rules", models, tool=python, code=ASYNC, params=params("async")),
        "plain": release("plain", "qa-rules", models, tool=python, code=PLAIN, params=params("plain")),
        "web": release("web", "qa-rules", models, tool=web),
        "stubborn": release("stubborn", "qa-rules", models, tool=python, code=STUBBORN),
        "short-run": release("short-run", "qa-rules+hang", models, limits={"timeoutMs": 150}),
        "short-run-web": release("short-run-web", "qa-rules", models, limits={"timeoutMs": 300}, tool=web),
        "short-model": release(
            "short-model", "qa-rules+hang", models, model_spec={"timeoutMs": 120}, limits={"timeoutMs": 600}
        ),
        "short-tool": release("short-tool", "qa-rules", models, tool={**web, "timeoutMs": 120}),
    }
    world.publish(**{name: in_prod("1.0.0", world.store.put_release(*one)) for name, one in made.items()})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("cancel")
    world = empty_world(folder / "project")
    with ModelServer() as models, ToolServer() as tools:
        fill(world, models, tools, folder)
        settings = load_settings(world.root).model_copy(update={"tool_hosts": [tools.place]})
        hosted = Hosted(settings)
        thread = threading.Thread(target=hosted.run, name="hosted-executor")
        thread.start()
        wait_until(lambda: hosted.is_serving.is_set() or not thread.is_alive(), what="the executor serves")
        yield Served(hosted.executor, hosted.url, hosted.loop, models, tools, folder)
        hosted.loop.call_soon_threadsafe(hosted.ending.set)
        thread.join(20)


class Hosted:
    """An executor on a loop of its own, with the server that it has as a process."""

    def __init__(self, settings: Settings) -> None:
        self.executor = Executor(settings)
        self.is_serving = threading.Event()
        self.url = ""

    def run(self) -> None:
        """Serves until `ending` is set on `loop`."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self.ending = asyncio.get_running_loop(), asyncio.Event()
        async with self.executor:
            config = uvicorn.Config(
                build_app(self.executor), http=BoundedProtocol, lifespan="off", log_config=None, access_log=False
            )
            server = _Server(config)
            bound = socket.create_server(("127.0.0.1", 0))
            serving = asyncio.create_task(server.serve([bound]))
            await server.accepting.wait()
            self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            self.is_serving.set()
            await self.ending.wait()
            server.should_exit = True
            await serving


@pytest.fixture
def at_rest(served: Served) -> Served:
    """The executor before a run: what it holds then is what it must hold after it."""
    for mark in served.marks.glob("*.*"):
        if mark.is_file():
            mark.unlink()
    served.idle_tasks = served.tasks()
    served.at_start = {
        "disconnects": served.models.statistics.disconnects,
        "tool disconnects": served.tools.disconnects,
    }
    return served


class Client:
    """A caller of the run route on a socket of its own, which it may close at any moment."""

    def __init__(self, url: str, agent: str, *, stream: bool) -> None:
        body = json.dumps({"input": {"text": "The user can log in."}}).encode()
        query = "?stream=true" if stream else ""
        head = f"POST /v1/agents/{agent}/runs{query} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        self._socket = socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=10)
        self._socket.sendall(head.encode() + body)

    def close(self) -> None:
        """Goes away."""
        self._socket.close()


def by_http(served: Served, run_id: str, _: Client) -> None:
    assert httpx.post(f"{served.url}/v1/runs/{run_id}/cancel").status_code == 202


def by_command(served: Served, run_id: str, _: Client) -> None:
    assert main(["cancel", run_id, "--server", served.url]) == 0


def by_leaving(served: Served, run_id: str, client: Client) -> None:
    client.close()


WAYS = {"POST /cancel": by_http, "agentctl cancel": by_command, "the client leaves": by_leaving}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
def test_a_cancel_reaches_the_work_and_frees_everything(at_rest: Served, way: str, place: str) -> None:
    served, where = at_rest, PLACES[place]
    client = Client(served.url, where.agent, stream=where.stream)
    wait_until(lambda: where.reached(served), what=f"the run is in {place}")
    handle = served.executor.parts.engine.running[0]
    WAYS[way](served, handle.run_id, client)
    cancelled = time.monotonic()
    wait_until(lambda: where.left(served), what=f"{place} ends", timeout_s=5)
    assert time.monotonic() - cancelled < WITHIN_S
    wait_until(lambda: handle.is_done, what="the run ends", timeout_s=5)
    client.close()
    wait_until(lambda: served.tasks() <= served.idle_tasks, what="no task is left", timeout_s=WITHIN_S)
    assert served.executor.parts.engine.running == []
    types = [event["type"] for event in handle.past_events]
    assert [one for one in types if one.startswith("run.")] == ["run.started", "run.cancelled"]
    assert types[-1] == "run.cancelled"
    stored = httpx.get(f"{served.url}/v1/runs/{handle.run_id}").json()
    assert (stored["status"], stored["error"]["code"]) == ("cancelled", "cancel")


def test_a_result_that_comes_after_the_cancel_is_not_taken(at_rest: Served) -> None:
    served = at_rest
    client = Client(served.url, "stubborn", stream=False)
    wait_until(lambda: served.executor.parts.engine.running, what="the run is there")
    handle = served.executor.parts.engine.running[0]
    wait_until(lambda: any(event["type"] == "tool.started" for event in handle.past_events), what="the tool is called")
    by_http(served, handle.run_id, client)
    wait_until(lambda: handle.is_done, what="the run ends", timeout_s=5)
    client.close()
    types = [event["type"] for event in handle.past_events]
    assert types[-1] == "run.cancelled"
    assert "tool.finished" not in types


@pytest.mark.parametrize(
    ("agent", "status", "code", "says"),
    [
        ("short-run", "timed_out", "timeout", "limits.timeoutMs of 150 reached"),
        ("short-run-web", "timed_out", "timeout", "limits.timeoutMs of 300 reached"),
        ("short-model", "failed", "model", "did not answer within 0.12 s, the time of one model call"),
        ("short-tool", "finished", "timeout", "tools/short-tool@1.0.0 did not answer within 120 ms"),
    ],
)
def test_a_timeout_says_which_one_it_was(at_rest: Served, agent: str, status: str, code: str, says: str) -> None:
    served = at_rest
    answer = httpx.post(f"{served.url}/v1/agents/{agent}/runs", json={"input": {"text": "The user can log in."}})
    run = answer.json()
    assert run.get("runStatus", run["status"]) == status
    if status == "finished":
        handle = served.executor.parts.engine.recent(run["runId"])
        assert handle is not None
        failed = next(event["data"] for event in handle.past_events if event["type"] == "tool.failed")
        assert (failed["code"], failed["what"]) == (code, says)
    else:
        assert says in run["error"]["what"]
        assert run["error"]["code"] == code
    wait_until(lambda: served.models.statistics.in_flight == 0, what="the model's connection closes", timeout_s=1)
    wait_until(lambda: served.tools.in_flight == 0, what="the tool's connection closes", timeout_s=1)
    wait_until(lambda: served.tasks() <= served.idle_tasks, what="no task is left", timeout_s=WITHIN_S)
