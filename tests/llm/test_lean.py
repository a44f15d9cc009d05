"""The lean transport where it differs from LiteLLM's: the wire itself, its bounds, and what it does without."""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.llm.lean import provider as lean_provider
from penstock.llm.lean.event_data import EVENT_BYTES, EventData, EventTooLong
from penstock.llm.lean.order import order_of
from penstock.llm.lean.provider import LeanProvider
from penstock.pal import ModelCall, ModelFailed
from penstock.registry import price_table
from penstock.testing.model_server import ModelServer

ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}
USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n'
PIECE = 'data: {"choices": [{"delta": {"content": "hel"}}]}\n\ndata: {"choices": [{"delta": {"content": "lo"}}]}\n\n'
STOP = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = "data: [DONE]\n\n"
EVENTS = "content-type: text/event-stream\r\n"


def call_of(url: str, *, streams: bool = False, **changes: Any) -> ModelCall:
    """A call of an endpoint."""
    values: dict[str, Any] = {
        "ref": "models/wire@1.0.0",
        "model": "some-model",
        "transport": "openai-compatible",
        "parameters": {"apiBase": url},
        "price": None,
        "messages": [{"role": "user", "content": "hi"}],
        "timeout_s": 5.0,
        "on_delta": (lambda text: None) if streams else None,
    }
    return ModelCall(**{**values, **changes})


@dataclass
class Wire:
    """A server that says what it is told, byte by byte: the answers of its next requests, in order."""

    answers: list[bytes] = field(default_factory=list)
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    keeps: bool = True
    url: str = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.answers.pop(0))
                await writer.drain()
                if not self.keeps:
                    break
        writer.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    made = Wire()
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield made
    server.close()


@pytest.fixture
async def provider() -> AsyncIterator[LeanProvider]:
    made = LeanProvider({"KEY": "sk-very-secret-value", "BROKEN": "two\nlines", "PLAIN": "sk_plain_secret"})
    yield made
    await made.close()


def http(body: str | bytes, status: str = "200 OK", headers: str = "", *, length: int | None = None) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    size = f"content-length: {len(data) if length is None else length}\r\n" if length != -1 else ""
    return f"HTTP/1.1 {status}\r\n{size}{headers}\r\n".encode() + data


async def test_calls_share_a_connection_and_a_stream_leaves_it_whole(provider: LeanProvider, wire: Wire) -> None:
    wire.answers = [
        http(json.dumps(ANSWER)),
        http(PIECE + STOP + USAGE + DONE, headers=EVENTS),
        http(json.dumps(ANSWER), "503 Busy"),
        http(json.dumps(ANSWER)),
    ]
    assert (await provider.complete(call_of(wire.url))).content == "hello"
    assert (await provider.complete(call_of(wire.url, streams=True))).content == "hello"
    with pytest.raises(ModelFailed, match="503"):
        await provider.complete(call_of(wire.url))
    assert (await provider.complete(call_of(wire.url))).content == "hello"
    assert wire.connections == 1


async def test_a_kept_connection_that_died_may_be_tried_again(provider: LeanProvider, wire: Wire) -> None:
    wire.answers = [http(json.dumps(ANSWER)), b"", http(json.dumps(ANSWER))]
    await provider.complete(call_of(wire.url))
    wire.keeps = False
    with pytest.raises(ModelFailed, match="the connection to the provider failed") as failed:
        await provider.complete(call_of(wire.url))
    assert failed.value.retryable
    assert (await provider.complete(call_of(wire.url))).content == "hello"


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("answer", "says", "retryable"),
    [
        (
            http("", "302 Found", "location: http://127.0.0.1:1/\r\n"),
            "302 instead of an answer; redirects",
            False,
        ),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "an answer that is no HTTP", False),
        (http("[1]", headers="content-type: application/json\r\n"), "an answer that", False),
        (http('{"error": {"code": "UPPER words", "message": "m"}}', "400 Bad"), "malformed: 400", False),
        (http('{"error": {"code": "sk_very_secret"}}', "418 Tea"), "failed: 418, sk_very_secret", False),
        (http("<html>", "502 Bad Gateway"), "failed: 502", True),
        (http('{"error": "a word"}', "429 Slow down", "retry-after: 7\r\n"), "rate limit or quota): 429", True),
    ],
)
async def test_what_is_no_answer_is_told(
    provider: LeanProvider, wire: Wire, answer: bytes, says: str, retryable: bool, streams: bool
) -> None:
    wire.answers = [answer]
    wire.keeps = False
    with pytest.raises(ModelFailed) as failed:
        await provider.complete(call_of(wire.url, streams=streams))
    assert says in failed.value.what
    assert failed.value.retryable is retryable
    assert failed.value.retry_after_s == (7.0 if "retry-after" in answer.decode() else None)


@pytest.mark.parametrize(
    ("body", "says", "retryable"),
    [
        (PIECE, "the connection to the provider failed", True),
        (PIECE + 'data: {"error": {"code": 429, "message": "m"}}\n\n', "429", True),
        (PIECE + 'data: {"error": {"message": "m"}}\n\n', "failed: 500", True),
        (PIECE + "data: [1]\n\n", "cannot be read", False),
        (PIECE + STOP + DONE, "without usage", False),
        (
            'data: {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": 3}]}}]}\n\n',
            "a piece of a tool call",
            False,
        ),
        ('data: {"choices": [{"delta": {"tool_calls": "none"}}]}\n\n', "its tool calls are no list", False),
    ],
)
async def test_a_stream_that_breaks_off_is_told(
    provider: LeanProvider, wire: Wire, body: str, says: str, retryable: bool
) -> None:
    wire.answers = [http(body, headers=EVENTS, length=-1)]
    wire.keeps = False
    with pytest.raises(ModelFailed) as failed:
        await provider.complete(call_of(wire.url, streams=True))
    assert says in failed.value.what
    assert failed.value.retryable is retryable


async def test_a_stream_needs_no_end_of_body_after_its_last_event(provider: LeanProvider, wire: Wire) -> None:
    wire.answers = [http(PIECE + STOP + USAGE + DONE, headers=EVENTS, length=100_000)]
    assert (await provider.complete(call_of(wire.url, streams=True))).content == "hello"


@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer_is_bounded(
    provider: LeanProvider, wire: Wire, monkeypatch: pytest.MonkeyPatch, streams: bool
) -> None:
    monkeypatch.setattr(lean_provider, "ANSWER_BYTES", 100)
    wire.answers = [http(PIECE + STOP + USAGE + DONE, headers=EVENTS) if streams else http(json.dumps(ANSWER))]
    with pytest.raises(ModelFailed, match="too long to be read"):
        await provider.complete(call_of(wire.url, streams=streams))


async def test_what_is_sent(provider: LeanProvider, wire: Wire) -> None:
    wire.answers = [http(json.dumps(ANSWER))]
    parameters = {
        "apiBase": wire.url + "/",
        "apiKey": {"secret": "KEY"},
        "organization": "org-1",
        "maxTokens": 5,
        "extraBody": {"top_k": 3},
    }
    await provider.complete(call_of("", parameters=parameters, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"))
    head, _, body = wire.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "post /v1/chat/completions http/1.1"
    assert headers["authorization"] == "bearer sk-very-secret-value"
    assert headers["openai-organization"] == "org-1"
    assert headers["traceparent"].startswith("00-aaaa")
    assert json.loads(body) == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "top_k": 3,
    }


async def test_a_code_that_is_a_secret_is_not_told(provider: LeanProvider, wire: Wire) -> None:
    wire.answers = [http('{"error": {"code": "sk_plain_secret"}}', "401 No")]
    parameters = {"apiBase": wire.url, "apiKey": {"secret": "PLAIN"}}
    with pytest.raises(ModelFailed, match=r"refused the key: 401\n"):
        await provider.complete(call_of("", parameters=parameters))


async def test_a_secret_that_no_header_can_hold_is_refused_unsaid(provider: LeanProvider) -> None:
    with pytest.raises(ModelFailed, match="'apiKey' holds what no HTTP header can") as failed:
        await provider.complete(call_of("", parameters={"apiBase": "http://x", "apiKey": {"secret": "BROKEN"}}))
    assert "lines" not in f"{failed.value}".replace("line break", "")


async def test_an_api_base_is_needed(provider: LeanProvider) -> None:
    with pytest.raises(ModelFailed, match=r"needs parameters\.apiBase"):
        await provider.complete(call_of("", parameters={}))


def test_the_environments_proxy_is_used_but_for_what_it_exempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "inside.example.org")
    assert order_of(call_of("https://outside.example.org/v1"), {}).proxy == "http://proxy.example.org:3128"
    assert order_of(call_of("https://inside.example.org/v1"), {}).proxy is None


def test_a_loop_that_ends_takes_its_connections_along(model_server: ModelServer) -> None:
    provider = LeanProvider({})
    call = call_of("", model="qa-rules", parameters=dict(model_server.parameters))
    for _ in range(2):
        assert asyncio.run(provider.complete(call)).content
    assert provider._sessions._made == {}


def test_litellm_is_not_imported(model_server: ModelServer) -> None:
    program = f"""
import asyncio, sys
from penstock.llm.transport import TransportProvider
from penstock.pal import ModelCall
call = ModelCall("models/a@1.0.0", "gpt-4o", {model_server.parameters!r}, None, [{{"role": "user", "content": "hi"}}],
    transport="openai-compatible")
answer = asyncio.run(TransportProvider({{}}).complete(call))
assert answer.usage.cost_usd > 0, answer
assert "litellm" not in sys.modules and "pydantic_ai" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_long_prompts_cost_what_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "input_cost_per_token": 1.0,
        "output_cost_per_token": 10.0,
        "input_cost_per_token_above_200k_tokens": 2.0,
        "output_cost_per_token_above_200k_tokens": 20.0,
    }
    monkeypatch.setattr(price_table, "_price_table", lambda: {"steps": row, "free": {}})
    price_table.price_row.cache_clear()
    assert price_table.table_cost_usd("any/steps", 200_000, 1) == 200_010
    assert price_table.table_cost_usd("steps", 200_001, 1) == 400_022
    assert price_table.table_cost_usd("free", 1, 1) is None
    price_table.price_row.cache_clear()


TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20).map(str.strip)


@given(events=st.lists(TEXT.filter(bool), max_size=6), end=st.sampled_from(["\n", "\r\n"]), data=st.data())
def test_events_are_put_together_wherever_they_are_cut(events: list[str], end: str, data: st.DataObject) -> None:
    whole = b"".join(f": note{end}id: 1{end}data: {event}{end}{end}".encode() for event in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    reader, found = EventData(), []
    for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += list(reader.take(whole[start:stop]))
    assert [event.decode() for event in found + list(reader.end())] == [event.strip(" ") for event in events]


def test_lines_of_one_event_belong_together_and_an_event_is_bounded() -> None:
    assert list(EventData().take(b"data: a\ndata:b\n\n")) == [b"a\nb"]
    for parts in ([b"data: " + b"x" * EVENT_BYTES], [b"data: " + b"x" * 1_000 + b"\n"] * 1_100):
        reader = EventData()
        with pytest.raises(EventTooLong):
            list(itertools.chain.from_iterable(map(reader.take, parts)))
