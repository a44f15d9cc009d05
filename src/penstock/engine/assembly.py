"""Puts an engine together from a project's settings."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from penstock.contracts.release import Release
from penstock.contracts.runtime import Runtime
from penstock.engine.claim_check import open_claim_check
from penstock.engine.controls import Controls
from penstock.engine.engine import Engine
from penstock.engine.router import RuntimeRouter
from penstock.engine.sink import NoSink, Sink
from penstock.pal import ModelProvider, ToolRunner
from penstock.settings import Settings
from penstock.store.spool import Spool


@dataclass(frozen=True, slots=True)
class EngineParts:
    """An engine with what it was made of; `spool` None = the sink is the caller's."""

    engine: Engine
    provider: ModelProvider
    tools: ToolRunner
    spool: Spool | None

    def load(self, release: Release) -> None:
        """Makes the release's tools ready to be called; blocks. Raises what keeps it from being served."""
        loading = getattr(self.tools, "load", None)
        if loading is not None:
            loading(release)

    async def close(self, drain_s: float = 0.0) -> None:
        """Waits `drain_s` for runs in flight, cancels the rest, and makes everything durable."""
        await self.engine.drain(drain_s)
        self.engine.close()
        for part in (self.provider, self.tools):
            leaving = getattr(part, "aclose", None)
            if leaving is not None:
                await leaving()
        closing = getattr(self.tools, "close", None)
        if closing is not None:
            closing()
        if self.spool is not None:
            self.spool.close()


def assemble(
    settings: Settings,
    runtimes: Mapping[str, Runtime],
    blob: Callable[[str], bytes],
    *,
    sink: Sink | None = None,
    executor: str | None = None,
    provider: ModelProvider | None = None,
    observed: Callable[[Sink], Sink] | None = None,
    controls: Controls | None = None,
) -> EngineParts:
    """The engine of one process: models (or `provider`), tools, and the spool of `settings` or a `sink`.

    `blob` gives prompt and code bytes by digest; secrets come from the environment; `executor` names the spool;
    `observed` puts something in front of either. Without `controls` it holds only what the runtimes bear.
    Raises `Unavailable` when the spool cannot be written. To be called on the event loop that the engine is to use.
    """
    from penstock.llm.transport import TransportProvider  # here, so that an engine in a test needs neither of the two
    from penstock.tools.kinds import tool_runner

    spool = Spool(settings.spool, executor=executor) if sink is None else None
    provider = TransportProvider(os.environ) if provider is None else provider
    tools = tool_runner(settings, blob, os.environ)
    records: Sink = spool if spool is not None else sink  # type: ignore[assignment]
    records = observed(records) if observed is not None else records
    claims = None if isinstance(sink, NoSink) else open_claim_check(settings)
    engine = Engine(RuntimeRouter(runtimes), provider, tools, records, controls, claims=claims)
    return EngineParts(engine, provider, tools, spool)
