import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.executor import sse
from penstock.executor.sse import EventStream, frame


class Client:
    """A client's side of a connection: `left` says that it is gone, `stalled` that it does not read."""

    def __init__(self, *, stalled: bool = False) -> None:
        self.left = asyncio.Event()
        self.told = asyncio.Event()
        self.body = b""
        self.pieces: list[bytes] = []
        self.ended = False
        self._stalled = stalled

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] != "http.response.body":
            return
        if self._stalled:
            await asyncio.Event().wait()
        self.body += message["body"]
        self.pieces.append(message["body"])
        self.ended = not message["more_body"]
        self.told.set()


async def endless() -> AsyncIterator[dict[str, Any]]:
    yield {"type": "run.started", "seq": 1}
    await asyncio.Event().wait()


async def short() -> AsyncIterator[dict[str, Any]]:
    yield {"type": "token.delta", "seq": None}
    yield {"type": "run.finished", "seq": 2}


def test_a_frame_has_an_id_where_the_event_has_a_seq() -> None:
    assert frame({"type": "run.started", "seq": 7}) == b'id: 7\ndata: {"type":"run.started","seq":7}\n\n'
    assert frame({"type": "token.delta", "seq": None}).startswith(b"data: ")


async def test_a_stream_ends_after_the_last_event() -> None:
    client, gone = Client(), asyncio.Event()
    await EventStream(client.receive, client.send, gone.set).run(short())
    assert client.body.count(b"data: ") == 2
    assert client.ended
    assert not gone.is_set()


async def test_what_comes_together_is_sent_together_and_in_order() -> None:
    async def bursts() -> AsyncIterator[dict[str, Any]]:
        for first in (1, 11):
            for number in range(first, first + 10):
                yield {"type": "llm.started", "seq": number}
            await asyncio.sleep(0.01)

    client = Client()
    await EventStream(client.receive, client.send).run(bursts())
    frames = [[frame({"type": "llm.started", "seq": first + at}) for at in range(10)] for first in (1, 11)]
    assert client.pieces == [*(b"".join(ten) for ten in frames), b""]


async def test_who_leaves_is_noticed_while_nothing_happens() -> None:
    client, gone = Client(), asyncio.Event()
    stream = asyncio.create_task(EventStream(client.receive, client.send, gone.set).run(endless()))
    await client.told.wait()
    client.left.set()
    await asyncio.wait_for(stream, 5)
    assert gone.is_set()


async def test_who_does_not_read_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "STALLED_S", 0.05)
    client, gone = Client(stalled=True), asyncio.Event()
    await asyncio.wait_for(EventStream(client.receive, client.send, gone.set).run(endless()), 5)
    assert gone.is_set()


async def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.02)
    client = Client()
    stream = asyncio.create_task(EventStream(client.receive, client.send).run(endless()))
    async with asyncio.timeout(5):
        while client.body.count(b": keep-alive\n\n") < 2:
            client.told.clear()
            await client.told.wait()
    client.left.set()
    await stream
    assert client.body.startswith(b"id: 1\n")


async def test_a_fault_of_the_events_is_not_taken_for_an_end() -> None:
    async def broken() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "run.started", "seq": 1}
        raise RuntimeError("the spool is gone")

    client = Client()
    with pytest.raises(RuntimeError):
        await EventStream(client.receive, client.send).run(broken())
    assert not client.ended
