"""What an executor shows of itself, asked in the process; and what commands show of it afterwards."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from penstock.cli.main import main
from penstock.errors import Unavailable
from penstock.executor.app import build_app
from penstock.executor.executor import Executor
from penstock.executor.telemetry.metric import METRICS
from penstock.settings import load_settings
from penstock.testing.executor_world import World, make_world
from penstock.testing.paced_executor import PacedProvider
from penstock.testing.receiver import Receiver

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RUN = "/v1/agents/echo/runs"
OPERATIONS = """\
apiVersion: penstock.dev/v1
kind: Operations
metadata: {name: default}
spec:
  alerts:
    rules: [{name: any-first-token, when: ttft, aboveMs: 0, severity: error}]
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    """Takes traces and alerts."""
    with Receiver() as made:
        yield made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("telemetry") / "project")
    (made.root / "pipelines").mkdir()
    (made.root / "pipelines/operations.yaml").write_text(OPERATIONS)
    return made


@pytest.fixture
async def executor(world: World, collector: Receiver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Executor]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PENSTOCK_OTLP_URL", collector.url.removesuffix("/hook"))
    monkeypatch.setenv("PENSTOCK_NOTIFY_URL", collector.url)
    async with Executor(load_settings(world.root), provider=PacedProvider(None)) as made:
        yield made


@pytest.fixture
async def client(executor: Executor) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_app(executor))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as made:
        yield made


def figures(page: str) -> dict[str, float]:
    """The samples without labels, and those of `echo` by their metric."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if not sample.labels or sample.labels.get("agent") == "echo":
                found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def until(client: httpx.AsyncClient, path: str, found: Callable[[dict[str, Any]], Any]) -> Any:
    """Asks until what is said is what is waited for."""
    async with asyncio.timeout(20):
        while True:
            answer = found((await client.get(path)).json())
            if answer:
                return answer
            await asyncio.sleep(0.02)


def told_of(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [alert for alert in alerts if alert["toldAt"]]


async def test_runs_are_in_the_metrics_in_the_trace_and_in_the_summary(
    executor: Executor, client: httpx.AsyncClient, collector: Receiver, world: World
) -> None:
    assert (await client.get("/readyz")).status_code == 200
    caller = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    answer = await client.post(RUN, json={"input": {"text": "hello"}}, headers=caller)
    assert answer.json()["traceId"] == TRACE
    version, trace, run_span, flags = answer.headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    refused = await client.post(RUN, json={"input": {"text": 5}}, headers=caller)
    assert (refused.status_code, refused.headers["traceparent"][3:35]) == (422, TRACE)
    streamed = await client.post(f"{RUN}?stream=true", json={"input": {"text": "two words"}}, headers=caller)
    assert streamed.headers["traceparent"][3:35] == TRACE
    alone = await client.post(RUN, json={"input": {"text": "hello"}}, headers={"traceparent": "no"})
    assert alone.json()["traceId"] not in {TRACE, ""}

    lost = {"type": "run.started", "mode": "live", "agent": "echo", "runId": "lost", "time": "", "data": {}}
    executor.telemetry.metrics.observe(lost)  # its end was never told: the engine knows that it is over
    page = await client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    seen = figures(page.text)
    assert (seen["penstock_runs_total"], seen["penstock_run_duration_seconds_count"]) == (4, 3)
    assert (seen["penstock_executor_ready"], seen["penstock_routing_generation"]) == (1, 1)
    assert (seen["penstock_database_up"], seen["penstock_slo_success_objective"]) == (1, 0.99)
    assert seen["penstock_runs_in_flight"] == 0
    assert 0 < seen["penstock_executor_cold_start_seconds"] < 3_600
    states = {name for name, metric in METRICS.items() if metric.source == "executor" and not metric.labels}
    assert states <= set(seen)

    await executor.__aexit__(None, None, None)
    spans = [
        span
        for request in collector.received
        if request.path == "/v1/traces"
        for group in ExportTraceServiceRequest.FromString(request.body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]
    (run,) = [span for span in spans if span.span_id.hex() == run_span]
    assert (run.trace_id.hex(), run.parent_span_id.hex()) == (TRACE, SPAN)
    assert executor.telemetry.traces is not None
    assert (executor.telemetry.traces.exported, executor.telemetry.traces.dropped) == (4, {})


async def test_alerts_of_runs_are_kept_told_and_shown(
    client: httpx.AsyncClient, collector: Receiver, capfd: pytest.CaptureFixture[str], world: World
) -> None:
    await client.post(f"{RUN}?stream=true", json={"input": {"text": "two words"}})
    (found,) = await until(client, "/v1/alerts?agent=echo", lambda said: said["alerts"] and told_of(said["alerts"]))
    assert (found["rule"], found["severity"]) == ("any-first-token", "error")
    told = [request.event for request in collector.received if request.path == "/hook"]
    assert told[0]["type"] == "dev.penstock.alert.raised"
    assert (await client.get("/v1/alerts?severity=warning")).json() == {"alerts": []}
    assert (await client.get("/v1/alerts?limit=0")).status_code == 422
    assert main(["--project", str(world.root), "alerts", "echo"]) == 0
    assert "error echo any-first-token: the first token took" in capfd.readouterr().out


async def test_figures_of_stored_runs_by_http_and_by_command(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str], world: World
) -> None:
    for text in ("one", "two"):
        await client.post("/v1/agents/talk/runs", json={"input": {"text": text}})
    summary = "/v1/metrics/summary?agent=talk&since=1h"
    found = await until(client, summary, lambda said: said if said["totalRequests"] == 2 else None)
    assert (found["successRate"], found["totalCost"], found["runsWithoutPrice"]) == (1.0, 0.0, 0)
    assert found["p99Latency"] >= found["p50Latency"] > 0
    wrong = await client.get("/v1/metrics/summary?since=yesterday")
    assert (wrong.status_code, wrong.json()["where"]) == (400, "since")
    capfd.readouterr()
    assert main(["--project", str(world.root), "metrics", "talk", "--since", "1h", "--json"]) == 0
    shown: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert {name: shown[name] for name in found if name != "since"} == {
        name: value for name, value in found.items() if name != "since"
    }
    assert main(["--project", str(world.root), "metrics", "nobody"]) == 0
    assert "success rate  no data" in capfd.readouterr().out


def test_a_library_that_is_missing_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.setenv("PENSTOCK_OTLP_URL", "http://127.0.0.1:4318")
    with pytest.raises(Unavailable, match="not installed") as missing:
        Executor(load_settings(world.root))
    assert "penstock[telemetry]" in missing.value.now
