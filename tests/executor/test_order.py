import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
import pytest

from penstock.errors import Invalid, WrongUse
from penstock.executor import body
from penstock.executor.body import ClientGone, read_body
from penstock.executor.order import Identity, RunOrder, read_identity, read_order, wants_cache
from penstock.executor.problems import Refusal


def faults_of(document: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        read_order(orjson.dumps(document))
    return [f"{fault.pointer}: {fault.what}" for fault in caught.value.faults]


def test_an_order_with_everything() -> None:
    whole = {"input": [1], "sessionId": "s-1", "version": "1.0.0-rc.1", "stage": "canary", "mode": "dry"}
    whole["complexity"] = "simple"
    assert read_order(orjson.dumps(whole)) == RunOrder([1], "s-1", "1.0.0-rc.1", "canary", "dry", complexity="simple")
    assert read_order(b'{"input": null}') == RunOrder(None)


def test_who_wants_no_cache_says_so_in_the_header() -> None:
    assert wants_cache([(b"host", b"x")])
    assert wants_cache([(b"cache-control", b"max-age=0")])
    for value in (b"no-cache", b"No-Store", b"max-age=0, no-store"):
        assert not wants_cache([(b"cache-control", value)])


def test_every_fault_is_named_at_once() -> None:
    broken = {"inptu": 1, "sessionId": "", "version": "1", "stage": "qa", "mode": "shadow", "complexity": 1}
    assert faults_of(broken) == [
        "complexity: must be one of simple, medium, complex",
        "inptu: unknown field",
        "input: is missing",
        "mode: must be one of live, dry",
        "sessionId: must be 1 to 128 letters, digits or ._@:+-",
        "stage: must be one of dev, canary, prod",
        "version: must be a SemVer version",
    ]
    assert faults_of([]) == [": must be an object"]
    assert faults_of({"input": 1, "mode": "replay"}) == ["mode: must be one of live, dry"]


@pytest.mark.parametrize("text", [b"", b"{", b'{"input": NaN}', b"\xff", b"[" * 5000])
def test_no_json_is_wrong_use(text: bytes) -> None:
    with pytest.raises(WrongUse):
        read_order(text)


def test_the_caller_is_who_the_headers_say() -> None:
    assert read_identity([(b"host", b"x")]) == Identity(None, None)
    given = [(b"x-penstock-tenant", b"acme"), (b"x-penstock-user", b"ada@example.org"), (b"x-penstock-stage", b"dev")]
    assert read_identity(given) == Identity("acme", "ada@example.org", "dev")
    for name, value in ((b"tenant", b""), (b"user", b"a b"), (b"user", b"x" * 129), (b"stage", b"qa")):
        with pytest.raises(WrongUse):
            read_identity([(b"x-penstock-" + name, value)])


def chunks(*messages: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def piece(data: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


async def read(*messages: dict[str, Any], headers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    return await read_body(chunks(*messages), headers)


async def test_a_body_may_come_in_pieces() -> None:
    assert await read(piece(b"ab", True), piece(b"", True), piece(b"c", False)) == b"abc"


async def test_a_body_is_bounded_in_size_declared_or_not() -> None:
    half = b"x" * (600 << 10)
    with pytest.raises(Refusal) as undeclared:
        await read(piece(half, True), piece(half, False))
    with pytest.raises(Refusal) as declared:
        await read(headers=[(b"content-length", b"1048577")])
    assert undeclared.value.http_status == declared.value.http_status == 413
    assert len(await read(piece(b"x" * (1 << 20), False))) == 1 << 20


async def test_a_body_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_BODY_S", 0.05)
    with pytest.raises(Refusal) as slow:
        await read(piece(b"{", True))
    assert slow.value.http_status == 408


async def test_a_client_that_leaves_gets_no_answer() -> None:
    with pytest.raises(ClientGone):
        await read(piece(b"{", True), {"type": "http.disconnect"})
