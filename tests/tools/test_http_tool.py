"""HTTP tools: what is sent, what comes of each answer, and which addresses may be reached."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from penstock.contracts.canonical import digest
from penstock.contracts.release import ToolComponent
from penstock.errors import WrongUse
from penstock.pal import ToolFailed, ToolInvocation
from penstock.testing.tool_server import ToolServer
from penstock.tools.http.address import ToolHosts, is_public
from penstock.tools.http.runner import HttpToolRunner

Call = Callable[..., ToolInvocation]

# Loopback, private, link-local, shared, documentation, multicast, reserved, and IPv6 that stands for any of them.
DANGEROUS_TEXT = """
127.0.0.1 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 192.0.0.192 198.18.0.1 224.0.0.1
239.255.255.250 240.0.0.1 255.255.255.255 192.88.99.1 :: ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1
2002:7f00:1:: 2001:0:7f00:1:: fe80::1 fd00:ec2::254 ff0e::1
"""
DANGEROUS = DANGEROUS_TEXT.split()
PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001:82b::200e"]


@pytest.fixture(scope="module")
def server() -> Iterator[ToolServer]:
    with ToolServer() as made:
        yield made


@pytest.fixture
def runner(server: ToolServer) -> HttpToolRunner:
    return HttpToolRunner([server.place], {"API_TOKEN": "t0ken-value"})


def http_tool(url: str, params: dict[str, Any] | None = None, **changes: Any) -> ToolComponent:
    """A tool behind that url; `spec` and further fields of its implementation as given."""
    spec = changes.pop("spec", {})
    shape = {"schema": {"type": "object"}}
    document = {
        "metadata": {"name": "act", "version": "1.0.0", "owner": "qa"},
        "spec": {
            "input": shape,
            "output": shape,
            "implementation": {"type": "http", "method": "GET", "url": url, **changes},
            **spec,
        },
    }
    return ToolComponent(ref="tools/act@1.0.0", digest=digest(document), document=document, params=params or {})


async def test_path_query_and_headers_come_from_the_call(
    runner: HttpToolRunner, server: ToolServer, call: Call
) -> None:
    tool = http_tool(
        server.url + "/echo/{/arguments/project}/items",
        params={"limit": 5},
        query={
            "q": {"from": "/arguments/q"},
            "limit": {"from": "/params/limit"},
            "tag": {"from": "/arguments/tags"},
            "gone": {"from": "/arguments/absent"},
            "exact": True,
        },
        headers={"x-api-key": {"secret": "API_TOKEN", "prefix": "Key "}, "x-kind": "test"},
        spec={"secrets": ["API_TOKEN"], "sideEffects": "read"},
    )
    told = await runner.run(tool, call({"project": "shop/a b", "q": "ä&=", "tags": ["x", "y"]}))
    assert (told["method"], told["body"]) == ("GET", None)
    assert told["path"] == "/echo/shop%2Fa%20b/items?q=%C3%A4%26%3D&limit=5&tag=x&tag=y&exact=true"
    assert (told["headers"]["x-api-key"], told["headers"]["x-kind"]) == ("Key t0ken-value", "test")
    assert "idempotency-key" not in told["headers"]


async def test_a_body_is_the_arguments_or_what_is_declared(
    runner: HttpToolRunner, server: ToolServer, call: Call
) -> None:
    plain = http_tool(server.url + "/echo", method="POST")
    told = await runner.run(plain, call({"a": [1, None]}))
    assert (told["body"], told["headers"]["idempotency-key"]) == ({"a": [1, None]}, "run/c_1")
    body = {"item": {"title": {"from": "/arguments/a"}, "note": {"from": "/arguments/b"}}, "fixed": [1]}
    shaped = http_tool(server.url + "/echo", method="PUT", body=body, idempotencyHeader="X-Once")
    told = await runner.run(shaped, call({"a": "t"}))
    assert (told["method"], told["body"]) == ("PUT", {"item": {"title": "t"}, "fixed": [1]})
    assert told["headers"]["x-once"] == "run/c_1"


@pytest.mark.parametrize("value", ["..", ".", "", "a/../b", "../x", "x\\..", None, {"a": 1}])
async def test_a_value_may_not_climb_out_of_its_place_in_the_path(
    runner: HttpToolRunner, server: ToolServer, call: Call, value: Any
) -> None:
    before = len(server.seen)
    with pytest.raises(ToolFailed, match="/arguments/x is"):
        await runner.run(http_tool(server.url + "/echo/{/arguments/x}"), call({"x": value}))
    assert len(server.seen) == before


@pytest.mark.parametrize(
    ("path", "says", "retryable"),
    [
        ("/status/404", "it answered 404: no:", False),
        ("/status/500", "it answered 500", False),
        ("/status/429", "it answered 429", True),
        ("/status/502", "it answered 502", True),
        ("/status/503", "it answered 503", True),
        ("/status/504", "it answered 504", True),
        ("/moved", "it answered 302; redirects are not followed", False),
        ("/text", "its answer is no JSON", False),
        ("/list", "its result is list, not a JSON object", False),
        ("/long", "its answer is longer than 1048576 bytes", False),
        ("/cut", "the connection to it failed", True),
    ],
)
async def test_every_other_answer_is_a_failure(
    runner: HttpToolRunner, server: ToolServer, call: Call, path: str, says: str, retryable: bool
) -> None:
    headers = {"x-key": {"secret": "API_TOKEN"}}
    with pytest.raises(ToolFailed) as failed:
        await runner.run(http_tool(server.url + path, headers=headers, spec={"secrets": ["API_TOKEN"]}), call())
    assert says in failed.value.what
    assert (failed.value.retryable, failed.value.where) == (retryable, "tools/act@1.0.0")
    assert "t0ken" not in str(failed.value)
    assert failed.value.retry_after_s == (2.0 if path.endswith("429") else None)


async def test_an_empty_answer_is_an_empty_result(runner: HttpToolRunner, server: ToolServer, call: Call) -> None:
    assert await runner.run(http_tool(server.url + "/empty"), call()) == {}


async def test_nobody_listening_may_be_tried_again(server: ToolServer, call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    with pytest.raises(ToolFailed, match="the connection to it failed") as failed:
        await HttpToolRunner([f"127.0.0.1:{port}"], {}).run(http_tool(f"http://127.0.0.1:{port}/"), call())
    assert failed.value.retryable


async def test_a_missing_secret_is_named_before_the_call(server: ToolServer, call: Call) -> None:
    tool = http_tool(server.url + "/echo", headers={"x": {"secret": "GONE"}}, spec={"secrets": ["GONE"]})
    before = len(server.seen)
    with pytest.raises(ToolFailed, match="secret GONE is not set"):
        await HttpToolRunner([server.place], {}).run(tool, call())
    assert len(server.seen) == before


@pytest.mark.parametrize("ends_by", ["deadline", "cancel"])
async def test_the_server_sees_its_caller_leave(
    runner: HttpToolRunner, server: ToolServer, call: Call, ends_by: str
) -> None:
    before = server.disconnects
    running = asyncio.create_task(
        runner.run(http_tool(server.url + "/hang"), call(timeout_s=0.3 if ends_by == "deadline" else 30))
    )
    await _until(lambda: server.in_flight == 1)
    if ends_by == "cancel":
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        with pytest.raises(ToolFailed, match="did not end in its time"):
            await running
    left = time.monotonic()
    await _until(lambda: server.disconnects == before + 1)
    assert time.monotonic() - left < 1.0


@pytest.mark.parametrize("address", DANGEROUS)
def test_a_dangerous_address_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_python_alone_would_let_some_through() -> None:
    assert len(DANGEROUS) == 24
    assert sum(ipaddress.ip_address(address).is_global for address in DANGEROUS) >= 5


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [*DANGEROUS, "[::1]"])
async def test_a_dangerous_address_in_the_url_is_not_reached(server: ToolServer, call: Call, address: str) -> None:
    host = f"[{address}]" if ":" in address and not address.startswith("[") else address
    before = len(server.seen)
    with pytest.raises(ToolFailed, match="neither public nor in the setting") as failed:
        await HttpToolRunner([], {}).run(http_tool(f"http://{host}:{server.port}/echo"), call())
    assert not failed.value.retryable
    assert len(server.seen) == before


class ChangingResolver(AbstractResolver):
    """Says another address each time that it is asked, the last one for good."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The next answer."""
        self.asked += 1
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0) for one in found
        ]

    async def close(self) -> None:
        """Holds nothing."""


async def test_a_name_that_changes_its_answer_is_judged_at_each_connection(
    server: ToolServer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = ChangingResolver(["127.0.0.1"], ["10.0.0.1", "169.254.169.254"], ["127.0.0.1"])
    runner = HttpToolRunner([], {}, resolver)
    monkeypatch.setattr("penstock.tools.http.address.is_public", lambda address: resolver.asked == 1)
    tool = http_tool(f"http://rebind.example.org:{server.port}/echo")
    assert (await runner.run(tool, call()))["path"] == "/echo"
    await runner.aclose()
    for _ in range(2):
        with pytest.raises(ToolFailed, match="neither public nor in the setting"):
            await runner.run(tool, call())
    assert resolver.asked == 3


async def test_a_listed_network_is_reached(server: ToolServer, call: Call) -> None:
    assert (await HttpToolRunner(["127.0.0.0/8"], {}).run(http_tool(server.url + "/echo"), call()))["path"] == "/echo"
    with pytest.raises(ToolFailed, match="neither public"):
        await HttpToolRunner(["10.0.0.0/8"], {}).run(http_tool(server.url + "/echo"), call())


def test_a_listed_host_is_meant_with_its_port() -> None:
    hosts = ToolHosts(["api.Example.org:443", "[::1]:8080"])
    assert hosts.lists("https", "API.example.org", None)
    assert hosts.lists("http", "::1", 8080)
    assert not hosts.lists("http", "api.example.org", None)


@pytest.mark.parametrize("entry", ["example.org", "example.org:0", "example.org:99999", "10.0.0.1/8", "a b:1", "*:80"])
def test_a_bad_entry_is_named(entry: str) -> None:
    with pytest.raises(WrongUse, match="tool_hosts"):
        ToolHosts([entry])


async def _until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():  # noqa: ASYNC110 - the server is another thread's
            await asyncio.sleep(0.005)
