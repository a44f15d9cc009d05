import json
import logging
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.executor.telemetry.access_log import AccessLog
from penstock.executor.telemetry.log_format import JsonLines
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, says
from penstock.testing.fake_tools import FakeTools

LOG = logging.getLogger("penstock.test")
KEY = "AKIA" + "QXSHGO4TFAKEKEY7"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The lines that were logged, as a collector reads them."""
    caplog.set_level(logging.INFO)
    written: list[str] = []

    class Written(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler = Written()
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in written]
    logging.getLogger().removeHandler(handler)


def test_a_line_is_one_object(lines: Any) -> None:
    LOG.warning("two\nlines of %s", "it")
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {"level": "WARNING", "logger": "penstock.test", "message": "two\nlines of it"}


async def test_what_is_logged_in_a_run_names_it(lines: Any) -> None:
    def answer(call: Any) -> Any:
        LOG.info("the model is asked")
        return says("hello")

    rig = Rig(DirectRuntime, "penstock", FakeProvider(answer), FakeTools())
    result = await rig.run()
    LOG.info("it is over")
    inside, outside = lines()
    assert (inside["runId"], inside["traceId"], inside["agent"]) == (result.run_id, result.trace_id, result.agent)
    assert "runId" not in outside


def test_what_is_personal_or_secret_is_replaced_and_exceptions_keep_their_words(lines: Any) -> None:
    try:
        raise ValueError("the input was: my diary")
    except ValueError:
        LOG.exception("ada@example.org sent a key: %s", KEY)
    (line,) = lines()
    assert line["exception"]["type"] == "ValueError"
    assert "test_log_format.py:" in line["exception"]["at"][-1]
    text = json.dumps(line)
    assert not any(word in text for word in ("ada@", KEY, "diary"))
    assert "[EMAIL]" in line["message"]


async def test_a_request_is_one_line_without_its_query(lines: Any) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"traceparent", parent.encode())]})
        await send({"type": "http.response.body", "body": b"secret"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/agents/a/runs", "query_string": b"q=secret"}
    await AccessLog(app)(scope, lambda: None, send)  # type: ignore[arg-type,return-value]
    (line,) = lines()
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/agents/a/runs", 201)
    assert line["traceId"] == parent[3:35]
    assert line["durationMs"] >= 0
    assert "secret" not in json.dumps(line)
