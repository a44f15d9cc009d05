"""Pytest plugin with the fixture `tool`: the tool of this folder, loaded as an executor loads it.

    pytest registry_repo/tools/requirement-search/1.0.0 --import-mode=importlib -p penstock.testing.tool_fixture

A test beside a tool calls it with the arguments that a model would send; keywords are the agent's params:

    def test_finds_it(tool):
        assert tool({"query": "rollback"}, limit=3)["hits"]

`tool(arguments, **params)` returns the result of `async def` and of plain `def` tools alike, in this process; what the
tool raises comes through. `tool.secrets["JIRA_TOKEN"] = "..."` gives it a secret, `tool.module("ranking")` is another
module of its folder, and in an `async def` test `await tool.call(arguments, **params)` does the same.

Folder and function come from PENSTOCK_TOOL_FOLDER and PENSTOCK_TOOL_ENTRY (`module:function`), as the `unit` gate sets
them. Without them the folder is the test file's own, and the entry stands in `<folder>.yaml` beside it.
"""

import asyncio
import importlib
import inspect
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from penstock.tools.context import ToolContext
from penstock.tools.package import PREFIX, forget, import_entry

CALL_S = 60.0


class ToolUnderTest:
    """The tool of one folder, imported as a package of its own."""

    def __init__(self, folder: Path, entry: str) -> None:
        self.folder = folder
        self.package = f"{PREFIX}under_test"
        self.secrets: dict[str, str] = {}
        self.function = import_entry(folder, self.package, entry)
        self._calls = 0

    def __call__(self, arguments: dict[str, Any], **params: Any) -> Any:
        """The tool's result; raises what the tool raises."""
        result = self.function(arguments, self.context(**params))
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    async def call(self, arguments: dict[str, Any], **params: Any) -> Any:
        """The same from within an event loop."""
        result = self.function(arguments, self.context(**params))
        return await result if inspect.isawaitable(result) else result

    def context(self, **params: Any) -> ToolContext:
        """What the tool gets beside its arguments; each call has an id of its own."""
        self._calls += 1
        name = f"call-{self._calls}"
        return ToolContext(name, f"test/{name}", time.monotonic() + CALL_S, params, dict(self.secrets))

    def module(self, name: str) -> ModuleType:
        """Another module of the tool's folder."""
        return importlib.import_module(f"{self.package}.{name}")


@pytest.fixture
def tool(request: pytest.FixtureRequest) -> Iterator[ToolUnderTest]:
    """The tool, imported anew for each test: what one test leaves in its modules is gone for the next."""
    named = os.environ.get("PENSTOCK_TOOL_FOLDER")
    folder = Path(named) if named else request.path.parent
    made = ToolUnderTest(folder, os.environ.get("PENSTOCK_TOOL_ENTRY") or _declared_entry(folder))
    yield made
    forget(made.package)


def _declared_entry(folder: Path) -> str:
    """The entry in the tool's document; fails the test with what to do when there is none to be read."""
    import yaml

    document = folder.parent / f"{folder.name}.yaml"
    try:
        return str(yaml.safe_load(document.read_text("utf-8"))["spec"]["implementation"]["entry"])
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        pytest.fail(f"{document} does not say which function the tool is ({error!r}); set PENSTOCK_TOOL_ENTRY")
