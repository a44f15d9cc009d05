import http.client
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from penstock.errors import WrongUse
from penstock.testing.model_fault import ModelFault
from penstock.testing.model_server import ModelServer

CHAT = {"model": "qa-rules", "messages": [{"role": "user", "content": "The user can pay."}]}


def post(server: ModelServer, body: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("in_process", [False, True])
def test_server_answers_counts_and_ends(in_process: bool) -> None:
    with ModelServer(in_process=in_process) as server:
        status, _, body = post(server, CHAT)
        document = json.loads(body)
        assert status == 200
        assert document["choices"][0]["message"]["content"] == "Scripted model: The user can pay"
        assert document["system_fingerprint"].startswith("scripted")
        assert server.statistics.requests == server.statistics.answered == 1
        port = server.port
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5)


async def test_server_is_an_async_context_manager() -> None:
    async with ModelServer() as server:
        assert server.statistics.requests == 0


def test_faults_come_by_name_by_header_and_from_the_queue() -> None:
    with ModelServer() as server:
        server.next_faults("status-503", "")
        assert post(server, CHAT)[0] == 503
        assert post(server, CHAT)[0] == 200
        status, headers, _ = post(server, {**CHAT, "model": "qa-rules+status-429"})
        assert (status, headers["retry-after"]) == (429, "1")
        assert post(server, CHAT, {"x-fault": "status-418"})[0] == 418
        assert post(server, {**CHAT, "model": "qa-rules+nonsense"})[0] == 400
        assert post(server, {"model": "qa-rules"})[0] == 400
        with pytest.raises(http.client.IncompleteRead):
            post(server, {**CHAT, "model": "qa-rules+cut"})


def test_stream_ends_with_usage_and_done() -> None:
    with ModelServer() as server:
        _, headers, body = post(server, {**CHAT, "stream": True, "stream_options": {"include_usage": True}})
        events = body.decode().strip().split("\n\n")
        assert headers["content-type"] == "text/event-stream"
        assert events[-1] == "data: [DONE]"
        assert json.loads(events[-2].removeprefix("data: "))["usage"]["total_tokens"] > 0


def test_other_paths_are_told() -> None:
    with ModelServer() as server:
        with urllib.request.urlopen(f"{server.url}/models", timeout=5) as response:
            assert json.load(response)["data"][0]["id"] == "qa-rules"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/else", timeout=5)


def test_fault_names_are_parsed_and_checked() -> None:
    fault = ModelFault.parse("latency-50+status-500+garbage+")
    assert (fault.latency_ms, fault.status, fault.kinds) == (50, 500, frozenset({"garbage"}))
    with pytest.raises(WrongUse, match="no fault 'late'"):
        ModelFault.parse("late")
