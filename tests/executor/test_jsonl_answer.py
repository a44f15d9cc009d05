import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.errors import Unavailable
from penstock.executor.jsonl_answer import JsonlAnswer

AWAY = Unavailable("the database failed", where="database", now="check that it runs")


def lines(*values: Any, then: Exception | None = None) -> Iterator[Any]:
    yield from values
    if then is not None:
        raise then


async def sent(answer: JsonlAnswer) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        messages.append(message)

    await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    return messages


async def test_each_value_is_a_line() -> None:
    head, *body = await sent(await JsonlAnswer.of(lines({"a": 1}, None, "x")))
    assert (head["status"], dict(head["headers"])[b"content-type"]) == (200, b"application/jsonl")
    assert b"".join(message["body"] for message in body) == b'{"a":1}\nnull\n"x"\n'
    assert [message["more_body"] for message in body][-2:] == [True, False]


async def test_of_nothing_there_is_no_line() -> None:
    _, *body = await sent(await JsonlAnswer.of(lines()))
    assert b"".join(message["body"] for message in body) == b""


async def test_what_cannot_be_read_at_all_is_refused_before_an_answer_begins() -> None:
    with pytest.raises(Unavailable, match="the database failed"):
        await JsonlAnswer.of(lines(then=AWAY))


async def test_an_answer_whose_rest_cannot_be_read_has_no_end(caplog: pytest.LogCaptureFixture) -> None:
    _, *body = await sent(await JsonlAnswer.of(lines(1, 2, then=AWAY)))
    assert b"".join(message["body"] for message in body) == b"1\n2\n"
    assert all(message["more_body"] for message in body)
    assert "ended before its last line: database: the database failed" in caplog.text
