"""What HTTP costs a run: the executor as a process, beside a bare ASGI app and other gateways in the same minutes.

`instant` has a model in process and shows the executor's own cost (routing, policy, journal, events durable before the
answer); `LiteLLM` and `lean` ask the scripted model server over HTTP, by the two transports of a model spec. LiteLLM's
proxy and the Portkey gateway pass a bare completion on to the same model server. CPU is the server's, with the
processes that it started: `beside` is their part of it, for an executor the process that fills the database. Clients
and the model server run beside it on the same cores.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from penstock.contracts.routing_table import AgentRoutes, Entry
from penstock.errors import Unavailable
from penstock.testing.executor_world import (
    DIRECT,
    Running,
    World,
    empty_world,
    launch,
    stopped_at_end,
    wait_until,
)
from penstock.testing.model_server import ModelServer
from penstock.testing.peer_gateway import Gateway, litellm_proxy, portkey_gateway
from penstock.testing.process_family import beside, cpu_s, resident_mb

AT_ONCE = (1, 16, 64)
JUDGED_AT = 16
SECONDS = 2.5
SETTLES_S = 0.6
TEXT = "The user can reset the password within 15 minutes. " * 4
CHUNKS = 34
PIECE = 6
LONG = ("the user can reset the password and " * 9)[: CHUNKS * PIECE - len("Scripted model: ")]
"""One sentence, which the scripted model repeats in `CHUNKS` pieces."""
CALLS_TOOL = {"direct": "look", "langgraph": "seek"}
"""Agents that bear the name of their tool, which the scripted model therefore calls before it answers."""
ONE_CALL = {"direct": "echo", "langgraph": "graph"}
STREAMS = {"direct": "pour", "langgraph": "flow"}
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
    """Answers a second, CPU microseconds an answer, the part of processes beside, percentiles of the waits (ms)."""

    per_s: float
    cpu_us: float
    beside_us: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


Figures = dict[tuple[str, int], Figure]


@dataclass(frozen=True)
class Server:
    """A process under load."""

    pid: int
    port: int
    headers: Mapping[str, str]

    def request(self, path: str, document: object) -> bytes:
        """The bytes of one request."""
        body = json.dumps(document).encode()
        fields = {"host": "localhost", "content-type": "application/json", "content-length": len(body), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def server_of(running: Running) -> Server:
    return Server(running.process.pid, urlsplit(running.url).port or 0, {})


async def ask_on(port: int, request: bytes, until: float, waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    while (begun := time.perf_counter()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{head.decode()}{(await reader.read(2_000)).decode()}")
        if b"transfer-encoding: chunked" in head:
            await reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            await reader.readexactly(
                next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            )
        waits.append(time.perf_counter() - begun)
    writer.close()


async def measure(server: Server, request: bytes, at_once: int) -> Figure:
    waits: list[float] = []
    others = beside(server.pid)
    own, more, begun = cpu_s(server.pid), sum(map(cpu_s, others)), time.perf_counter()
    await asyncio.gather(*(ask_on(server.port, request, begun + SECONDS, waits) for _ in range(at_once)))
    took = time.perf_counter() - begun
    await asyncio.sleep(SETTLES_S)  # what fills the database is behind
    own, more = cpu_s(server.pid) - own, sum(map(cpu_s, others)) - more
    waits.sort()
    p50, p95, p99 = (waits[int(len(waits) * share)] * 1e3 for share in (0.5, 0.95, 0.99))
    return Figure(len(waits) / took, (own + more) / len(waits) * 1e6, more / len(waits) * 1e6, p50, p95, p99)


def show(figures: Figures, name: str, server: Server, request: bytes) -> None:
    """Measures at each concurrency, prints, and keeps the figures under the name."""
    asyncio.run(measure(server, request, 1))  # warm
    for at_once in AT_ONCE:
        figure = figures[name, at_once] = asyncio.run(measure(server, request, at_once))
        waits = f"{figure.p50_ms:9.1f} {figure.p95_ms:9.1f} {figure.p99_ms:9.1f}"
        cpu = f"{figure.cpu_us:10.0f} {figure.beside_us:8.0f}"
        print(f"{name:40} {at_once:8} {figure.per_s:10.0f} {cpu} {waits}", flush=True)


def released(world: World, model: str = "scripted/qa-rules", **more: object) -> None:
    """Agents of one model call, of a stream, and with a tool call between two, on the direct runtime and langgraph."""
    (world.root / "runtimes/langgraph.yaml").write_text(
        DIRECT.replace("name: direct", "name: langgraph")
        .replace("runtime: penstock", "runtime: langgraph")
        .replace("adapter: direct", "adapter: langgraph")
    )
    for runtime in ("direct", "langgraph"):
        tool = CALLS_TOOL[runtime]
        for agent, tools, asked in (
            (ONE_CALL[runtime], None, model),
            (STREAMS[runtime], None, f"{model}+pieces-{PIECE}"),
            (tool, {tool: {}}, model),
        ):
            release = world.release(agent, "2.0.0", tools=tools, model=asked, **more)
            world.publish(**{agent: AgentRoutes(prod=Entry(version="2.0.0", release=release, runtime=runtime))})


def started(world: World, *words: str) -> Running:
    notes = {"NOTES": str(world.root)}
    running = launch([sys.executable, *words], world.root / f"errors-{len(world.running)}.txt", notes)
    world.running.append(running)
    return running


def runs(figures: Figures, name: str, world: World) -> None:
    """An executor as people start it: every shape of run; how soon it is ready, and what it holds at the end."""
    begun = time.perf_counter()
    words = ("-m", "penstock.cli.main", "--project", str(world.root), "serve", "--insecure-dev", "--port", "0")
    real = started(world, *words)
    wait_until(lambda: httpx.get(f"{real.url}/readyz").status_code == 200, what="ready", timeout_s=60)
    ready_s, server = time.perf_counter() - begun, server_of(real)
    for runtime in ("direct", "langgraph"):
        one, two = (f"/v1/agents/{agents[runtime]}/runs" for agents in (ONE_CALL, CALLS_TOOL))
        show(figures, f"{name}, {runtime}, one call", server, server.request(one, {"input": {"text": TEXT}}))
        show(figures, f"{name}, {runtime}, two calls, a tool", server, server.request(two, {"input": {"text": TEXT}}))
        url, order = f"/v1/agents/{STREAMS[runtime]}/runs?stream=true", {"input": {"text": LONG}}
        chunks = httpx.post(real.url + url, json=order).text.count("token.delta")
        if chunks != CHUNKS:
            raise RuntimeError(f"the stream has {chunks} chunks instead of {CHUNKS}")
        show(figures, f"{name}, {runtime}, stream", server, server.request(url, order))
    print(f"{name}: ready after {ready_s:.1f} s, {resident_mb(server.pid):.0f} MB at the end", flush=True)


def peer(figures: Figures, name: str, opened: AbstractContextManager[Gateway]) -> None:
    """Another gateway with a bare completion and a stream; said and left out where it cannot be had."""
    with ExitStack() as stack:
        try:
            gateway = stack.enter_context(opened)
        except Unavailable as problem:
            print(f"{name} is left out: {problem}", flush=True)
            return
        server = Server(gateway.process.pid, gateway.port, gateway.headers)
        for shape, text, more in (
            ("completion", TEXT, {"model": "qa-rules"}),
            ("stream", LONG, {"model": f"qa-rules+pieces-{PIECE}", "stream": True}),
        ):
            chat = {**more, "messages": [{"role": "user", "content": text}]}
            try:
                show(figures, f"{name}, {shape}", server, server.request("/v1/chat/completions", chat))
            except (RuntimeError, asyncio.IncompleteReadError) as problem:
                print(f"{name}, {shape}: the rest is left out, it failed: {str(problem).splitlines()[0]}", flush=True)
        print(f"{name}: ready after {gateway.ready_s:.1f} s, {resident_mb(server.pid):.0f} MB at the end", flush=True)


def judge(figures: Figures) -> None:
    """Holds the figures at `JUDGED_AT` against what is to be reached."""

    def rate(name: str) -> float:
        return figures[name, JUDGED_AT].per_s

    def cpu(name: str) -> float:
        return figures[name, JUDGED_AT].cpu_us

    proxy, portkey = "LiteLLM's proxy, completion", "Portkey gateway, completion"
    wanted: list[tuple[str, tuple[str, ...], Callable[[], float], Callable[[float], bool]]] = [
        ("CPU a run, all on, with HTTP and the database, at most 300 us", ("instant, direct",),
         lambda: cpu("instant, direct"), lambda found: found <= 300),
        ("the same, times the bare app", ("instant, direct",),
         lambda: cpu("instant, direct") / cpu("bare ASGI app (limit)"), lambda found: found <= 300 / 21),
        ("LiteLLM's SDK, runs/s of the proxy's completions, at least 1.7", (proxy, "LiteLLM, direct, one call"),
         lambda: rate("LiteLLM, direct, one call") / rate(proxy), lambda found: found >= 1.7),
        ("lean, runs/s of the proxy's completions, at least 10", (proxy,),
         lambda: rate("lean, direct, one call") / rate(proxy), lambda found: found >= 10),
        ("lean, runs/s of Portkey's completions, at least 1", (portkey,),
         lambda: rate("lean, direct, one call") / rate(portkey), lambda found: found >= 1),
        (f"lean, CPU of a stream of {CHUNKS} chunks to the proxy's, at most 0.1", ("LiteLLM's proxy, stream",),
         lambda: cpu("lean, direct, stream") / cpu("LiteLLM's proxy, stream"), lambda found: found <= 0.1),
    ]  # fmt: skip
    for name, needed, find, reached in wanted:
        if all((peer, JUDGED_AT) in figures for peer in needed):
            found = find()
            print(f"{name}: {found:.2f}, {'reached' if reached(found) else 'NOT reached'}")
        else:
            print(f"{name}: not measured")


def main() -> int:
    """Prints the figures, and what they reach."""
    head = ("at once", 8), ("answers/s", 10), ("CPU us", 10), ("beside", 8), ("p50 ms", 9), ("p95 ms", 9), ("p99 ms", 9)
    print(f"{'':40} {' '.join(f'{name:>{width}}' for name, width in head)}")
    figures: Figures = {}
    with (
        ModelServer(in_process=True) as model,
        tempfile.TemporaryDirectory() as folder,
        stopped_at_end(empty_world(Path(folder) / "instant")) as instant,
        stopped_at_end(empty_world(Path(folder) / "litellm")) as litellm,
        stopped_at_end(empty_world(Path(folder) / "lean")) as lean,
    ):
        bare = server_of(started(instant, "-c", BARE))
        show(figures, "bare ASGI app (limit)", bare, bare.request("/", {"input": {"text": TEXT}}))
        for world in (instant, litellm, lean):
            world.operate({"limits": {"global": {"ratePerMinute": None}}})
        released(instant)
        quick = started(instant, "-m", "penstock.testing.paced_executor", str(instant.root), "-")
        wait_until(lambda: httpx.get(f"{quick.url}/readyz").status_code == 200, what="ready")
        for runtime, agent in ONE_CALL.items():
            server = server_of(quick)
            request = server.request(f"/v1/agents/{agent}/runs", {"input": {"text": TEXT}})
            show(figures, f"instant, {runtime}", server, request)
        parameters = {**model.parameters, "maxTokens": 1_000}
        released(litellm, model="openai/qa-rules", parameters=parameters)
        released(lean, model="qa-rules", parameters=parameters, transport="openai-compatible")
        peer(figures, "LiteLLM's proxy", litellm_proxy(model.url))
        runs(figures, "LiteLLM", litellm)
        runs(figures, "lean", lean)
        peer(figures, "Portkey gateway", portkey_gateway(model.url))
    judge(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
