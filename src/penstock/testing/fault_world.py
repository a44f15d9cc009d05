"""Executors with everything that they need as real processes, each behind a proxy, and faults of each part."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, cast, get_args

import httpx

from penstock.store.database import Database, open_database
from penstock.testing.executor_world import Running, World, empty_world, in_prod, launch, wait_until
from penstock.testing.model_server import ModelServer
from penstock.testing.postgresql_server import PostgresqlServer
from penstock.testing.process_family import beside
from penstock.testing.redis_server import RedisServer
from penstock.testing.tcp_proxy import Mode, TcpProxy

Part = Literal["database", "redis", "model", "executor", "drain"]
Action = Literal["delay", "cut", "half-open", "reset", "refuse", "hang", "kill"]
ACTIONS: tuple[Action, ...] = get_args(Action)
ON_THE_WIRE: frozenset[str] = frozenset({"delay", "cut", "half-open", "reset", "refuse"})
LEASE_S = 1.5
AGENTS = ("quick", "paced", "spender", "plain")
AT_ONCE = 4
A_MINUTE = 60
A_DAY_USD = 2.0
OPEN_MS = 500
ANSWER_TOKENS, TOKEN_USD = 50, 0.001
START_S = 60.0


@dataclass(frozen=True)
class Fault:
    """What happens to a part, and for how many seconds; an executor and its drain can hang and be killed only."""

    part: Part
    action: Action
    hold_s: float

    def __str__(self) -> str:
        return f"{self.part} {self.action} {self.hold_s:.1f} s"


class FaultWorld:
    """PostgreSQL, Redis, a model server and two executors of one project. A context: they run inside it.

    Four agents of a lean model: `quick` may have `AT_ONCE` runs at work, of `paced` `A_MINUTE` may begin in a minute,
    `spender` may spend `A_DAY_USD` a day, by some hundred calls, and nothing binds `plain`. The first executor is the
    one that faults of an executor meet. `resets` are the moments at which Redis lost what it held, with the counts of
    rates.
    """

    def __init__(self, folder: Path) -> None:
        self.world: World = empty_world(folder / "project")
        self.resets: list[float] = []
        self.urls: list[str] = []
        self.database: Database
        self._stack = contextlib.ExitStack()
        self._postgresql = PostgresqlServer()
        self._redis = RedisServer()
        self._model = ModelServer(in_process=True)
        self._proxies: dict[str, TcpProxy] = {}
        self._executors: list[Running] = []
        self._progress: Callable[[], int] | None = None

    def __enter__(self) -> "FaultWorld":
        with contextlib.ExitStack() as stack:
            for server in (self._postgresql, self._redis, self._model):
                stack.enter_context(server)
            ports = {"database": self._postgresql.port, "redis": self._redis.port, "model": self._model.port}
            for part, port in ports.items():
                self._proxies[part] = stack.enter_context(TcpProxy(port))
            self.database = open_database(self._postgresql.url())
            stack.callback(self.database.close)
            self._release()
            stack.callback(self._end_executors)
            self._executors = [self._launch(), self._launch()]
            self.urls = [self._ready(executor) for executor in self._executors]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def inflict(self, fault: Fault, progress: Callable[[], int] | None = None) -> None:
        """Begins a fault, lets it last, and mends it; returns when the part is whole again.

        It lasts until `progress` has grown too; raises `AssertionError` if that does not.
        """
        self._progress = progress
        if fault.part == "executor":
            self._of_executor(fault)
        elif fault.part == "drain":
            self._of_drain(fault)
        elif fault.action in ON_THE_WIRE:
            self._of_wire(fault, cast(Mode, fault.action))
        else:
            self._of_process(fault)

    def errors(self) -> list[str]:
        """Tracebacks in the logs of all executors so far."""
        logs = [file.read_text() for file in sorted(self.world.root.glob("errors-*.txt"))]
        return [log[log.index("Traceback") :] for log in logs if "Traceback" in log]

    def _release(self) -> None:
        parameters: dict[str, object] = {
            "apiBase": f"http://127.0.0.1:{self._proxies['model'].port}/v1",
            "apiKey": "scripted",
        }
        for agent in AGENTS:
            release = self.world.release(
                agent,
                "1.0.0",
                mode="conversational",
                model="qa-rules+latency-30",
                transport="openai-compatible",
                parameters={**parameters, "maxTokens": ANSWER_TOKENS},
                output_usd=1e6 * TOKEN_USD if agent == "spender" else 0,
            )
            self.world.publish(**{agent: in_prod("1.0.0", release)})
        limits = {
            "agents": {"quick": {"concurrency": AT_ONCE}, "paced": {"ratePerMinute": A_MINUTE}},
            "maxWaitMs": 300,
        }
        budgets = {"agents": {"spender": {"day": {"hardUsd": A_DAY_USD}}}}
        breakers = {"model": {"openMs": OPEN_MS}}
        self.world.operate({"limits": limits, "budgets": budgets, "breakers": breakers})

    def _launch(self) -> Running:
        number = len(self.world.running)
        words = ["-m", "penstock.cli.main", "--project", str(self.world.root), "serve", "--insecure-dev", "--port", "0"]
        environment = {
            "PENSTOCK_DATABASE_URL": self._postgresql.url(self._proxies["database"].port),
            "PENSTOCK_REDIS_URL": f"redis://127.0.0.1:{self._proxies['redis'].port}/0",
            "PENSTOCK_LEASE_S": str(LEASE_S),
        }
        running = launch([sys.executable, *words], self.world.root / f"errors-{number}.txt", environment)
        self.world.running.append(running)
        return running

    def _ready(self, executor: Running) -> str:
        wait_until(lambda: httpx.get(f"{executor.url}/readyz").status_code == 200, what="ready", timeout_s=START_S)
        return executor.url

    def _end_executors(self) -> None:
        for running in self.world.running:
            running.process.kill()
            running.process.wait()
            if running.process.stdout is not None:
                running.process.stdout.close()

    def _last(self, fault: Fault) -> None:
        progress = self._progress
        before = progress() if progress is not None else 0
        time.sleep(fault.hold_s)
        if progress is not None:
            wait_until(lambda: progress() > before, what=f"something goes on while it lasts: {fault}")

    def _of_wire(self, fault: Fault, mode: Mode) -> None:
        proxy = self._proxies[fault.part]
        proxy.change(mode)
        try:
            self._last(fault)
        finally:
            proxy.change("pass")

    def _of_process(self, fault: Fault) -> None:
        with {"hang": self._hanging, "kill": self._killed}[fault.action](fault.part):
            self._last(fault)

    @contextlib.contextmanager
    def _hanging(self, part: Part) -> Iterator[None]:
        if part == "model":
            self._model.pause()
        else:
            self._server(part).stop()
        try:
            yield
        finally:
            (self._model if part == "model" else self._server(part)).go_on()

    @contextlib.contextmanager
    def _killed(self, part: Part) -> Iterator[None]:
        server = self._model if part == "model" else self._server(part)
        server.kill()
        yield
        server.start()
        self._proxies[part].target = server.port
        if part == "redis":
            self.resets.append(time.time())

    def _server(self, part: Part) -> PostgresqlServer | RedisServer:
        return self._postgresql if part == "database" else self._redis

    def _of_drain(self, fault: Fault) -> None:
        """Of the process that fills the first executor's database; one that was killed is started again by that."""
        [pid] = beside(self._executors[0].process.pid)
        os.kill(pid, signal.SIGSTOP if fault.action == "hang" else signal.SIGKILL)
        self._last(fault)
        if fault.action == "hang":
            os.kill(pid, signal.SIGCONT)
        else:
            wait_until(lambda: beside(self._executors[0].process.pid) not in ([], [pid]), what="another drain")

    def _of_executor(self, fault: Fault) -> None:
        first = self._executors[0]
        if fault.action == "hang":
            first.process.send_signal(signal.SIGSTOP)
            self._last(fault)
            first.process.send_signal(signal.SIGCONT)
            return
        first.process.kill()
        first.process.wait()
        self._last(fault)
        self._executors[0] = self._launch()
        self.urls[0] = self._ready(self._executors[0])
