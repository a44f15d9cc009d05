"""A dry run of a draft: from the working tree, tools from their examples, nothing written."""

import asyncio
from typing import Any

from penstock.engine.assembly import EngineParts, assemble
from penstock.engine.call import RunCall
from penstock.engine.sink import NoSink
from penstock.errors import NotFound
from penstock.executor.declarations import read_declarations
from penstock.llm.load import load
from penstock.llm.transport import needs_litellm
from penstock.registry.load import load_registry
from penstock.registry.resolve import Resolved, resolve
from penstock.registry.source import TreeSource
from penstock.settings import Settings


def resolve_draft(settings: Settings, agent: str, version: str | None) -> Resolved:
    """The release that the working tree makes of the agent, at its highest version unless one is named.

    Raises `NotFound`, or `Invalid` with every fault of what it needs.
    """
    registry = load_registry(TreeSource(settings.root))
    versions = registry.versions(agent)
    if not versions:
        known = ", ".join(registry.agents()) or "none"
        raise NotFound(f"no agent {agent!r} in the working tree", where=str(settings.root), now=f"agents: {known}")
    return resolve(registry, agent, version or versions[-1])


async def assemble_draft(settings: Settings, draft: Resolved) -> EngineParts:
    """An engine that keeps nothing, with LiteLLM loaded where it is needed, which a run must not pay for."""
    if needs_litellm(draft.release):
        await asyncio.to_thread(load)
    return assemble(settings, read_declarations(settings.root), draft.blobs.__getitem__, sink=NoSink())


def draft_call(settings: Settings, draft: Resolved, run_input: Any, **caller: Any) -> RunCall:
    """The dry run of the draft for a caller (`tenant`, `user`, `session_id`, `stream`, `complexity`)."""
    release = draft.release
    return RunCall(
        release=release,
        prompt_body=draft.blobs[release.prompt.body],
        runtime=release.agent.spec.runtime.selector or settings.default_runtime,
        input=run_input,
        mode="dry",
        **caller,
    )
