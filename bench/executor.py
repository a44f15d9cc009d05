"""What HTTP costs a run: the executor as a process, beside a bare ASGI app on the same uvicorn in the same minute.

`instant` has a model in process and shows the executor's own cost (routing, policy, journal, events durable before the
answer); `LiteLLM` and `lean` ask the scripted model server over HTTP, by the two transports of a model spec. CPU is the
server process's alone, threads included; clients and the model server run beside it on the same cores.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from penstock.contracts.routing_table import AgentRoutes, Entry
from penstock.testing.executor_world import (
    DIRECT,
    Running,
    World,
    empty_world,
    launch,
    make_world,
    stopped_at_end,
    wait_until,
)
from penstock.testing.model_server import ModelServer

AT_ONCE = (1, 16, 64)
SECONDS = 1.5
TEXT = "The user can reset the password within 15 minutes. " * 4
BODY = json.dumps({"input": {"text": TEXT}}).encode()
TICKS = os.sysconf("SC_CLK_TCK")
BARE = """
import asyncio, socket, sys, uvicorn
from penstock.executor.protocol import BoundedProtocol
async def app(scope, receive, send):
    await receive()
    body = b'{"output": "' + b"x" * 600 + b'"}'
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
bound = socket.create_server(("127.0.0.1", 0))
print("http://127.0.0.1:%d" % bound.getsockname()[1], flush=True)
config = uvicorn.Config(app, http=BoundedProtocol, loop="uvloop", lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run([bound])
"""


@dataclass(frozen=True)
class Figure:
    """Answers a second, CPU microseconds an answer, and the 99th percentile of the waits (milliseconds)."""

    per_s: float
    cpu_us: float
    p99_ms: float


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    """Resident memory, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def ask_on(port: int, request: bytes, until: float, waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (begun := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        waits.append(time.perf_counter() - begun)
    writer.close()


async def measure(running: Running, agent: str, at_once: int) -> Figure:
    port = urlsplit(running.url).port or 0
    head = f"POST /v1/agents/{agent}/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(BODY)}\r\n\r\n"
    waits: list[float] = []
    cpu, begun = cpu_s(running.process.pid), time.perf_counter()
    await asyncio.gather(*(ask_on(port, head.encode() + BODY, begun + SECONDS, waits) for _ in range(at_once)))
    took, used = time.perf_counter() - begun, cpu_s(running.process.pid) - cpu
    return Figure(len(waits) / took, used / len(waits) * 1e6, sorted(waits)[int(len(waits) * 0.99)] * 1e3)


def show(name: str, ask: Callable[[int], Coroutine[None, None, Figure]]) -> None:
    asyncio.run(ask(1))  # warm
    for at_once in AT_ONCE:
        figure = asyncio.run(ask(at_once))
        print(f"{name:28} {at_once:8} {figure.per_s:10.0f} {figure.cpu_us:10.0f} {figure.p99_ms:9.1f}", flush=True)


def on_both_runtimes(world: World, **model: object) -> None:
    """`echo` on the direct runtime and `graph` on langgraph."""
    (world.root / "runtimes/langgraph.yaml").write_text(
        DIRECT.replace("name: direct", "name: langgraph")
        .replace("runtime: penstock", "runtime: langgraph")
        .replace("adapter: direct", "adapter: langgraph")
    )
    agents = {
        agent: AgentRoutes(prod=Entry(version="2.0.0", release=world.release(agent, "2.0.0", **model), runtime=runtime))
        for agent, runtime in (("echo", "direct"), ("graph", "langgraph"))
    }
    world.publish(**agents)


def started(world: World, *words: str) -> Running:
    running = launch([sys.executable, *words], world.root / f"errors-{len(world.running)}.txt")
    world.running.append(running)
    return running


def over_http(name: str, world: World) -> None:
    """An executor as people start it; how soon it is ready, and what it holds at the end."""
    words = ("-m", "penstock.cli.main", "--project", str(world.root), "serve", "--insecure-dev", "--port", "0")
    begun = time.perf_counter()
    real = started(world, *words)
    wait_until(lambda: httpx.get(f"{real.url}/readyz").status_code == 200, what="ready", timeout_s=60)
    ready_s = time.perf_counter() - begun
    show(f"{name} over HTTP, direct", lambda at_once: measure(real, "echo", at_once))
    show(f"{name} over HTTP, langgraph", lambda at_once: measure(real, "graph", at_once))
    print(f"{name}: ready after {ready_s:.1f} s, {resident_mb(real.process.pid):.0f} MB at the end", flush=True)


def main() -> int:
    """Prints the figures."""
    print(f"{'':28} {'at once':>8} {'answers/s':>10} {'CPU us':>10} {'p99 ms':>9}")
    with (
        ModelServer(in_process=True) as model,
        tempfile.TemporaryDirectory() as folder,
        stopped_at_end(make_world(Path(folder) / "instant")) as instant,
        stopped_at_end(make_world(Path(folder) / "litellm")) as litellm,
        stopped_at_end(empty_world(Path(folder) / "lean")) as lean,
    ):
        bare = started(instant, "-c", BARE)
        show("bare ASGI app (limit)", lambda at_once: measure(bare, "echo", at_once))
        on_both_runtimes(instant)
        quick = started(instant, "-m", "penstock.testing.paced_executor", str(instant.root), "-")
        wait_until(lambda: httpx.get(f"{quick.url}/readyz").status_code == 200, what="ready")
        show("instant model, direct", lambda at_once: measure(quick, "echo", at_once))
        show("instant model, langgraph", lambda at_once: measure(quick, "graph", at_once))
        on_both_runtimes(litellm, model="openai/qa-rules", parameters=model.parameters)
        on_both_runtimes(lean, model="qa-rules", parameters=model.parameters, transport="openai-compatible")
        over_http("LiteLLM", litellm)
        over_http("lean", lean)
    return 0


if __name__ == "__main__":
    sys.exit(main())
