"""Replays one recorded case on one runtime: models and tools answer from the journal, so nothing outside is asked."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from penstock.contracts.release import Release, ToolComponent
from penstock.contracts.suite import ContractCase
from penstock.engine.call import RunCall
from penstock.engine.engine import Engine
from penstock.engine.journal import Journal
from penstock.engine.result import RunResult
from penstock.engine.router import RuntimeRouter
from penstock.engine.sequence import Step, sequence_of
from penstock.engine.sink import NoSink
from penstock.errors import PenstockError, Unavailable
from penstock.gates.own_loop import on_own_loop
from penstock.pal import ModelAnswer, ModelCall, ToolInvocation

T = TypeVar("T")

BROKEN = frozenset({"runtime", "timeout", "cancel"})


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay showed: the steps in their settled order, the output, and how the run ended."""

    runtime: str
    steps: list[Step]
    result: RunResult

    @property
    def missed(self) -> str:
        """What the runtime asked for that was not recorded; empty if nothing."""
        failure = self.result.failure
        return failure.what if failure is not None and failure.code == "replay-miss" else ""

    @property
    def output(self) -> Any:
        """The run's output, None if it did not finish."""
        return self.result.output


class Unasked:
    """The model provider and tool runner of a replay: being asked means that the replay itself is broken."""

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """Never answers."""
        self._refuse(call.ref)

    async def run(self, tool: ToolComponent, call: ToolInvocation) -> dict[str, Any]:
        """Never answers."""
        self._refuse(tool.ref)

    def _refuse(self, what: str) -> NoReturn:
        raise PenstockError(f"a replay called {what}", now="report this: a replay answers from its journal alone")


class Replayer:
    """Replays a release's cases; `router` declares the runtimes."""

    def __init__(self, router: RuntimeRouter, release: Release, prompt_body: bytes) -> None:
        self._engine = Engine(router, Unasked(), Unasked(), NoSink())
        self._release = release
        self._prompt_body = prompt_body

    async def replay(self, case: ContractCase, journal: Journal, runtime: str) -> Replayed:
        """One case on one runtime. Raises `Unavailable` when the replay itself broke: that is no evidence."""
        call = RunCall(
            release=self._release,
            prompt_body=self._prompt_body,
            runtime=runtime,
            input=case.input,
            mode="replay",
            fixtures=case.fixtures,
            journal=journal,
        )
        handle = self._engine.start(call)
        result = await handle.result_or_cancel()
        failure = result.failure
        if failure is not None and failure.code in BROKEN:
            raise Unavailable(
                f"the replay of case {case.name} on runtime {runtime} broke: {failure.what}", where=failure.where
            )
        return Replayed(runtime, sequence_of(handle.past_events), result)


def within(work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """The result of a coroutine on a loop of its own; raises `Unavailable` when it takes longer than `timeout_s`."""

    async def bounded() -> T:
        async with asyncio.timeout(timeout_s):
            return await work

    try:
        return on_own_loop(bounded())
    except TimeoutError:
        raise Unavailable(f"the replays did not end within {timeout_s:g} s", now="raise timeoutS, or split") from None
