"""What HTTP costs a run: the executor as a process, beside a bare ASGI app and other gateways in the same minutes.

`instant` has a model in process and shows the executor's own cost (routing, policy, journal, events durable before the
answer); `LiteLLM` and `lean` ask the scripted model server over HTTP, by the two transports of a model spec. LiteLLM's
proxy and the Portkey gateway pass a bare completion on to the same model server. CPU is the server's, with the
processes that it started: `beside` is their part of it, for an executor the process that fills the database. Clients
and the model server run beside it on the same cores. All servers stand ready at once and are asked in turn, round by
round, so that a noisy minute meets all of them: figures are medians of the rounds, and so are ratios within a round.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
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
ROUNDS = 3
SECONDS = 1.2
WARM_S, SETTLES_S = 0.5, 0.5
TEXT = "The user can reset the password within 15 minutes. " * 4
CHUNKS = 34
WIDTHS = (10, 10, 8, 9, 9, 9)
DIGITS = (0, 0, 0, 1, 1, 1)
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


Figures = dict[tuple[str, int], list[Figure]]
"""Of each name and concurrency, one a round."""


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
    begun = time.perf_counter()
    await asyncio.gather(*(ask_on(server.port, request, begun + WARM_S, []) for _ in range(at_once)))
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


@dataclass(frozen=True)
class Asked:
    """One request to one server, again and again."""

    name: str
    server: Server
    request: bytes


def measured(asked: list[Asked]) -> Figures:
    """Each of them at each concurrency, in turn; who fails is left out from then on."""
    figures: Figures = {}
    for one in tuple(asked):
        try:
            asyncio.run(measure(one.server, one.request, 1))  # warm
        except (RuntimeError, asyncio.IncompleteReadError) as problem:
            print(f"{one.name} is left out, it failed: {str(problem).splitlines()[0]}", flush=True)
            asked.remove(one)
    for at_once in AT_ONCE:
        for _ in range(ROUNDS):
            for one in asked:
                figure = asyncio.run(measure(one.server, one.request, at_once))
                figures.setdefault((one.name, at_once), []).append(figure)
        print(f"measured with {at_once} at once", file=sys.stderr, flush=True)
    return figures


def show(figures: Figures) -> None:
    """Prints the medians."""
    head = ("at once", 8), ("answers/s", 10), ("CPU us", 10), ("beside", 8), ("p50 ms", 9), ("p95 ms", 9), ("p99 ms", 9)
    print(f"{'':40} {' '.join(f'{name:>{width}}' for name, width in head)}")
    for (name, at_once), rounds in sorted(figures.items(), key=lambda item: item[0][0]):
        middle = [median(values) for values in zip(*map(astuple, rounds), strict=True)]
        shown = " ".join(
            f"{value:{width}.{digits}f}" for value, width, digits in zip(middle, WIDTHS, DIGITS, strict=True)
        )
        print(f"{name:40} {at_once:8} {shown}", flush=True)


@dataclass(frozen=True)
class Aim:
    """What is to be reached, if anything, by a field of a figure, or by its ratio to another's in the same round."""

    words: str
    name: str
    field: str
    beside: str = ""
    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        least = f", at least {self.least:g}" if self.least is not None else ""
        most = f", at most {self.most:g}" if self.most is not None else ""
        return f"{self.name}: {self.words}{least}{most}"

    def verdict(self, found: float) -> str:
        """Whether it is reached; nothing where nothing is asked."""
        if self.least is None and self.most is None:
            return ""
        is_reached = (self.least is None or found >= self.least) and (self.most is None or found <= self.most)
        return ", reached" if is_reached else ", NOT reached"


LIMIT, COMPLETION, STREAM = "bare ASGI app (limit)", "LiteLLM's proxy, completion", "LiteLLM's proxy, stream"
PORTKEY = "Portkey gateway, completion"
AIMS = (
    Aim("CPU us a run with HTTP and the database", "instant, direct", "cpu_us", most=300),
    Aim("times the CPU of the bare app", "instant, direct", "cpu_us", LIMIT),
    Aim("runs/s of the proxy's completions", "LiteLLM, direct, one call", "per_s", COMPLETION, least=1.7),
    Aim("runs/s of the proxy's completions", "lean, direct, one call", "per_s", COMPLETION, least=10),
    Aim("runs/s of Portkey's completions", "lean, direct, one call", "per_s", PORTKEY, least=1),
    Aim(f"CPU of {CHUNKS} chunks to the proxy's", "lean, direct, stream", "cpu_us", STREAM, most=0.1),
)


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


def runs(name: str, world: World) -> list[Asked]:
    """An executor as people start it, asked for every shape of run; says how soon it is ready."""
    begun = time.perf_counter()
    words = ("-m", "penstock.cli.main", "--project", str(world.root), "serve", "--insecure-dev", "--port", "0")
    real = started(world, *words)
    wait_until(lambda: httpx.get(f"{real.url}/readyz").status_code == 200, what="ready", timeout_s=60)
    server, asked = server_of(real), []
    print(f"{name}: ready after {time.perf_counter() - begun:.1f} s", flush=True)
    for runtime in ("direct", "langgraph"):
        order = {"input": {"text": TEXT}}
        for shape, agents in (("one call", ONE_CALL), ("two calls, a tool", CALLS_TOOL)):
            request = server.request(f"/v1/agents/{agents[runtime]}/runs", order)
            asked.append(Asked(f"{name}, {runtime}, {shape}", server, request))
        url, order = f"/v1/agents/{STREAMS[runtime]}/runs?stream=true", {"input": {"text": LONG}}
        chunks = httpx.post(real.url + url, json=order).text.count("token.delta")
        if chunks != CHUNKS:
            raise RuntimeError(f"the stream has {chunks} chunks instead of {CHUNKS}")
        asked.append(Asked(f"{name}, {runtime}, stream", server, server.request(url, order)))
    return asked


def peer(stack: ExitStack, name: str, opened: AbstractContextManager[Gateway]) -> list[Asked]:
    """Another gateway, asked for a bare completion and a stream; said and left out where it cannot be had."""
    try:
        gateway = stack.enter_context(opened)
    except Unavailable as problem:
        print(f"{name} is left out: {problem}", flush=True)
        return []
    print(f"{name}: ready after {gateway.ready_s:.1f} s", flush=True)
    server = Server(gateway.process.pid, gateway.port, gateway.headers)
    shapes = (
        ("completion", TEXT, {"model": "qa-rules"}),
        ("stream", LONG, {"model": f"qa-rules+pieces-{PIECE}", "stream": True}),
    )
    return [
        Asked(
            f"{name}, {shape}",
            server,
            server.request("/v1/chat/completions", {**more, "messages": [{"role": "user", "content": text}]}),
        )
        for shape, text, more in shapes
    ]


def judge(figures: Figures) -> None:
    """Holds the figures at `JUDGED_AT` against the aims."""
    for aim in AIMS:
        mine, others = figures.get((aim.name, JUDGED_AT)), figures.get((aim.beside, JUDGED_AT))
        if mine is None or (aim.beside and others is None):
            print(f"{aim}: not measured")
            continue
        values = [getattr(figure, aim.field) for figure in mine]
        limits = [getattr(figure, aim.field) for figure in others or ()] or [1.0] * len(values)
        found = median(value / limit for value, limit in zip(values, limits, strict=True))
        print(f"{aim}: {found:.2f}{aim.verdict(found)}")


def main() -> int:
    """Prints the figures, and what they reach."""
    with ExitStack() as stack:
        model = stack.enter_context(ModelServer(in_process=True))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        instant, litellm, lean = (
            stack.enter_context(stopped_at_end(empty_world(folder / name))) for name in ("instant", "litellm", "lean")
        )
        for world in (instant, litellm, lean):
            world.operate({"limits": {"global": {"ratePerMinute": None}}})
        parameters = {**model.parameters, "maxTokens": 1_000}
        released(instant)
        released(litellm, model="openai/qa-rules", parameters=parameters)
        released(lean, model="qa-rules", parameters=parameters, transport="openai-compatible")
        bare = server_of(started(instant, "-c", BARE))
        quick = started(instant, "-m", "penstock.testing.paced_executor", str(instant.root), "-")
        wait_until(lambda: httpx.get(f"{quick.url}/readyz").status_code == 200, what="ready")
        order, server = {"input": {"text": TEXT}}, server_of(quick)
        asked = [
            Asked(LIMIT, bare, bare.request("/", order)),
            *(
                Asked(f"instant, {runtime}", server, server.request(f"/v1/agents/{agent}/runs", order))
                for runtime, agent in ONE_CALL.items()
            ),
            *peer(stack, "LiteLLM's proxy", litellm_proxy(model.url)),
            *runs("LiteLLM", litellm),
            *runs("lean", lean),
            *peer(stack, "Portkey gateway", portkey_gateway(model.url)),
        ]
        figures = measured(asked)
        show(figures)
        for name, pid in {one.name.partition(",")[0]: one.server.pid for one in asked}.items():
            print(f"{name}: {resident_mb(pid):.0f} MB at the end")
    judge(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
