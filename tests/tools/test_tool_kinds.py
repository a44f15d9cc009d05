"""All kinds of tools behind one runner, as an engine has it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.contracts.canonical import digest
from penstock.contracts.release import ToolComponent
from penstock.errors import NotFound, WrongUse
from penstock.pal import ToolInvocation
from penstock.settings import Settings, load_settings
from penstock.testing.tool_server import ToolServer
from penstock.tools.kinds import tool_runner

OPEN = {"schema": {"type": "object"}}


def web_tool(url: str, kind: str = "http") -> ToolComponent:
    spec = {"input": OPEN, "output": OPEN, "implementation": {"type": kind, "method": "GET", "url": url}}
    document = {"metadata": {"name": "web", "version": "1.0.0", "owner": "qa"}, "spec": spec}
    return ToolComponent(ref="tools/web@1.0.0", digest=digest(document), document=document)


def settings_of(root: Path, *hosts: str) -> Settings:
    return Settings(root=root, tool_hosts=list(hosts))


@pytest.fixture(scope="module")
def server() -> Iterator[ToolServer]:
    with ToolServer() as made:
        yield made


async def test_each_tool_goes_to_its_kind(
    bench: Any, server: ToolServer, call: Callable[..., ToolInvocation], tmp_path: Path
) -> None:
    python = bench.tool("async def act(a, c): return {'kind': 'python'}\n")
    web = web_tool(f"{server.url}/echo")
    runner = tool_runner(settings_of(tmp_path, server.place), bench.blobs.__getitem__, {})
    try:
        release: Any = SimpleNamespace(all_tools=[python, web])
        await asyncio.to_thread(runner.load, release)
        assert await runner.run(python, call()) == {"kind": "python"}
        assert (await runner.run(web, call()))["path"] == "/echo"
    finally:
        await runner.aclose()
        runner.close()


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    release: Any = SimpleNamespace(all_tools=[web_tool("https://api.example.com/", kind="mcp")])
    with pytest.raises(NotFound, match="no tool kind 'mcp'"):
        tool_runner(settings_of(tmp_path), lambda _: b"", {}).load(release)


def test_a_bad_setting_is_said_before_the_tool_is_called(tmp_path: Path) -> None:
    release: Any = SimpleNamespace(all_tools=[web_tool("https://api.example.com/")])
    with pytest.raises(WrongUse, match="tool_hosts"):
        tool_runner(settings_of(tmp_path, "nowhere"), lambda _: b"", {}).load(release)


def test_the_setting_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.penstock]\ntool_hosts = ["a.example.org:80"]\n')
    assert load_settings(tmp_path).tool_hosts == ["a.example.org:80"]
    monkeypatch.setenv("PENSTOCK_TOOL_HOSTS", "10.0.0.0/8, b.example.org:443")
    assert load_settings(tmp_path).tool_hosts == ["10.0.0.0/8", "b.example.org:443"]
