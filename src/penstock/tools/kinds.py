"""The kinds of tools by the type of their implementation, and the runner that picks among them."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from penstock.contracts.release import Release, ToolComponent
from penstock.pal import ToolInvocation
from penstock.plugins import Plugins
from penstock.settings import Settings
from penstock.tools.code import Blobs
from penstock.tools.http.runner import HttpToolRunner
from penstock.tools.runner import PythonToolRunner


class KindRunner(Protocol):
    """Runs the tools of one kind."""

    def load(self, tools: Sequence[ToolComponent]) -> None:
        """Makes tools ready; blocks, and raises what keeps them from being called."""
        ...

    async def run(self, tool: ToolComponent, call: ToolInvocation) -> dict[str, Any]:
        """As `pal.ToolRunner.run`."""
        ...

    def close(self) -> None:
        """Frees what no event loop holds."""
        ...


MakeRunner = Callable[[Settings, Blobs, Mapping[str, str]], KindRunner]
KINDS: Plugins[MakeRunner] = Plugins("tool kind", "penstock.tool_kinds")


@KINDS.register("python")
def python_runner(settings: Settings, blobs: Blobs, secrets: Mapping[str, str]) -> KindRunner:
    """Python tools, their code in the settings' cache."""
    return PythonToolRunner(Path(settings.cache), blobs, secrets)


@KINDS.register("http")
def http_runner(settings: Settings, blobs: Blobs, secrets: Mapping[str, str]) -> KindRunner:
    """HTTP tools; raises `WrongUse` for a bad entry of the setting tool_hosts."""
    return HttpToolRunner(settings.tool_hosts, secrets)


class ToolKinds:
    """All kinds behind one runner (pal.ToolRunner), each made when the first tool of it is met."""

    def __init__(self, settings: Settings, blobs: Blobs, secrets: Mapping[str, str]) -> None:
        self._make = (settings, blobs, secrets)
        self._runners: dict[str, KindRunner] = {}

    def load(self, release: Release) -> None:
        """Makes all tools of a release ready; a release counts as loaded only once this returned.

        Blocks. Raises `Unavailable`, `Invalid`, `WrongUse` or `ToolFailed`.
        """
        for kind in dict.fromkeys(map(_kind, release.all_tools)):
            self._runner(kind).load([tool for tool in release.all_tools if _kind(tool) == kind])

    async def run(self, tool: ToolComponent, call: ToolInvocation) -> dict[str, Any]:
        """The tool's result, not yet checked against its schema; raises `ToolFailed`."""
        return await self._runner(_kind(tool)).run(tool, call)

    async def aclose(self) -> None:
        """Closes connections of the running loop."""
        for runner in self._runners.values():
            if isinstance(runner, HttpToolRunner):
                await runner.aclose()

    def close(self) -> None:
        """Ends workers and threads."""
        with contextlib.ExitStack() as stack:
            for runner in self._runners.values():
                stack.callback(runner.close)

    def _runner(self, kind: str) -> KindRunner:
        found = self._runners.get(kind)
        if found is None:  # two threads may make one each: the second is unused then, and holds nothing yet
            found = self._runners.setdefault(kind, KINDS.get(kind)(*self._make))
        return found


def tool_runner(settings: Settings, blobs: Blobs, secrets: Mapping[str, str]) -> ToolKinds:
    """The tools of one process; raises `WrongUse` for a bad entry of the setting tool_hosts."""
    return ToolKinds(settings, blobs, secrets)


def _kind(tool: ToolComponent) -> str:
    return str(tool.document["spec"]["implementation"]["type"])
