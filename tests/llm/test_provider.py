import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from penstock.llm.transport import TransportProvider
from penstock.pal import ModelCall, ModelFailed, ToolOffer
from penstock.testing.model_server import ModelServer

QUERY = {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}}
TOOL = ToolOffer("find-related", "Finds related requirements.", QUERY)
Calls = Callable[..., ModelCall]


@pytest.fixture
def provider() -> TransportProvider:
    return TransportProvider({"WIRE_KEY": "sk-very-secret-value"})


@pytest.mark.parametrize("streams", [False, True])
async def test_answer_usage_and_cost_come_over_the_wire(
    provider: TransportProvider, over_http: Calls, streams: bool
) -> None:
    deltas: list[str] = []
    answer = await provider.complete(over_http(on_delta=deltas.append if streams else None))
    assert answer.content is not None
    assert answer.content.startswith("Scripted model: The user can log in")
    assert answer.usage.prompt_tokens > 50
    expected = (answer.usage.prompt_tokens + 2 * answer.usage.completion_tokens) / 1_000_000
    assert answer.usage.cost_usd == pytest.approx(expected)
    if streams:
        assert "".join(deltas) == answer.content
        assert answer.ttft_ms is not None
    else:
        assert answer.ttft_ms is None


@pytest.mark.parametrize("streams", [False, True])
async def test_tool_calls_are_assembled(provider: TransportProvider, over_http: Calls, streams: bool) -> None:
    deltas: list[str] = []
    answer = await provider.complete(over_http(tools=(TOOL,), on_delta=deltas.append if streams else None))
    assert [request.name for request in answer.tool_requests] == ["find-related"]
    assert "log" in json.loads(answer.tool_requests[0].arguments)["query"]
    assert answer.finish_reason == "tool_calls"
    assert answer.content is None
    assert deltas == []


@pytest.mark.parametrize("streams", [False, True])
async def test_embedded_model_answers_like_the_server(
    provider: TransportProvider, over_http: Calls, streams: bool
) -> None:
    deltas: list[str] = []
    told = {"on_delta": deltas.append} if streams else {}
    wired = await provider.complete(over_http(**told))
    embedded = await provider.complete(over_http(model="scripted/qa-rules", transport="litellm", parameters={}, **told))
    assert embedded.content == wired.content
    assert embedded.usage == wired.usage


async def test_unknown_price_is_none_and_never_zero(provider: TransportProvider, over_http: Calls) -> None:
    assert (await provider.complete(over_http(price=None))).usage.cost_usd is None


async def test_known_model_is_priced_by_the_table(provider: TransportProvider, over_http: Calls) -> None:
    cost = (await provider.complete(over_http(name="gpt-4o", price=None))).usage.cost_usd
    assert cost is not None
    assert cost > 0


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("fault", "says", "retryable"),
    [
        ("status-429", "429, rate_limit_exceeded", True),
        ("status-500", "500, server_error", True),
        ("status-503", "503", True),
        ("status-400", "malformed: 400", False),
        ("status-401", "refused the key: 401", False),
        ("status-404", "does not know the model: 404", False),
        ("garbage", "cannot be read", False),
        ("wrong-types", "cannot be read", False),
        ("no-choices", "the provider gave an", False),
        ("silent", "neither text nor tool calls", False),
        ("cut", "connection to the provider failed", True),
        ("hang", "did not answer within 0.3 s", True),
    ],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
async def test_every_fault_is_a_clear_failure(
    provider: TransportProvider, over_http: Calls, fault: str, says: str, retryable: bool, streams: bool
) -> None:
    timeout_s = 0.3 if fault == "hang" else 20.0
    call = over_http(fault, timeout_s=timeout_s, on_delta=(lambda text: None) if streams else None)
    with pytest.raises(ModelFailed) as failure:
        await provider.complete(call)
    assert says in failure.value.what
    assert failure.value.retryable is retryable
    assert failure.value.where.startswith("models/wire@1.0.0")
    assert failure.value.now


async def test_answer_without_usage_is_refused(provider: TransportProvider, over_http: Calls) -> None:
    with pytest.raises(ModelFailed, match="without usage"):
        await provider.complete(over_http("no-usage"))


async def test_fault_is_sent_once_and_never_retried(
    provider: TransportProvider, over_http: Calls, model_server: ModelServer
) -> None:
    before = model_server.statistics.requests
    with pytest.raises(ModelFailed):
        await provider.complete(over_http("status-500"))
    assert model_server.statistics.requests == before + 1


@pytest.mark.parametrize(("fault", "streams"), [("hang", False), ("hang", True), ("slow-200", True)])
async def test_cancel_closes_the_connection_within_a_second(
    provider: TransportProvider, over_http: Calls, model_server: ModelServer, fault: str, streams: bool
) -> None:
    before = model_server.statistics
    call = over_http(fault, on_delta=(lambda text: None) if streams else None)
    running = asyncio.create_task(provider.complete(call))
    await _until(lambda: model_server.statistics.in_flight == 1)
    running.cancel()
    cancelled = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running
    await _until(lambda: model_server.statistics.disconnects == before.disconnects + 1)
    assert time.monotonic() - cancelled < 1.0


async def test_secret_is_resolved_at_call_time_and_never_shown(
    provider: TransportProvider, over_http: Calls, model_server: ModelServer
) -> None:
    parameters = {**model_server.parameters, "apiKey": {"secret": "WIRE_KEY"}}
    await provider.complete(over_http(parameters=parameters))
    assert model_server.last_request[1]["authorization"] == "Bearer sk-very-secret-value"
    with pytest.raises(ModelFailed) as failure:
        await provider.complete(over_http("status-401", parameters=parameters))
    assert "sk-very" not in f"{failure.value}{failure.value.__cause__}"
    assert failure.value.__suppress_context__ or failure.value.__context__ is None


async def test_missing_secret_is_named(provider: TransportProvider, over_http: Calls) -> None:
    with pytest.raises(ModelFailed, match="secret ABSENT_KEY is not set") as failure:
        await provider.complete(over_http(parameters={"apiKey": {"secret": "ABSENT_KEY"}}))
    assert not failure.value.retryable


@pytest.mark.parametrize("name", ["numRetries", "timeout", "stream", "mock_response", "messages", "fallbacks"])
async def test_parameters_of_the_platform_are_refused(provider: TransportProvider, over_http: Calls, name: str) -> None:
    with pytest.raises(ModelFailed, match=name):
        await provider.complete(over_http(parameters={name: 1}))


async def test_parameters_and_formats_reach_the_provider(
    provider: TransportProvider, over_http: Calls, model_server: ModelServer
) -> None:
    shape: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "out", "schema": {"type": "object"}}}
    parameters = {**model_server.parameters, "temperature": 0.5, "maxTokens": 77}
    await provider.complete(over_http(parameters=parameters, response_format=shape, tools=(TOOL,)))
    body, _ = model_server.last_request
    assert body["temperature"] == 0.5
    assert body["max_tokens"] == 77
    assert body["response_format"] == shape
    assert body["tools"] == [TOOL.as_function()]


async def test_unknown_scripted_model_is_refused(provider: TransportProvider, over_http: Calls) -> None:
    with pytest.raises(ModelFailed, match="does not know the model"):
        await provider.complete(over_http(model="scripted/other", transport="litellm", parameters={}))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - the server is another thread's
            await asyncio.sleep(0.005)


async def test_the_trace_goes_along_beside_headers_of_the_spec(
    provider: TransportProvider, over_http: Calls, model_server: ModelServer
) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    parameters = {**model_server.parameters, "extraHeaders": {"x-team": "qa"}}
    await provider.complete(over_http(traceparent=parent, parameters=parameters))
    headers = model_server.last_request[1]
    assert (headers["traceparent"], headers["x-team"]) == (parent, "qa")
    await provider.complete(over_http())
    assert "traceparent" not in model_server.last_request[1]
