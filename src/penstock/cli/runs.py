"""`agentctl runs` and `events`: what ran, and what happened in it."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click
import orjson

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.errors import NotFound, WrongUse
from penstock.store.period import since

FOLLOW_S = 0.2
STATUSES = ["finished", "failed", "cancelled", "timed_out", "rejected"]


@click.command()
@click.option("--agent", metavar="NAME", help="Runs of this agent.")
@click.option("--stage", type=click.Choice(["dev", "canary", "prod"]), help="Runs at this stage.")
@click.option("--status", type=click.Choice(STATUSES), help="Runs that ended like this.")
@click.option("--session", metavar="ID", help="Runs of this session.")
@click.option("--tenant", metavar="ID", help="Runs of this tenant.")
@click.option("--since", "period", metavar="PERIOD", help="Runs that began since then, as 24h, 7d or 2026-11-20.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="The newest so many.")
@json_option
def runs(period: str | None, limit: int, as_json: bool, **wanted: Any) -> int:
    """Lists stored runs, newest first; those that are in the archive alone are not among them."""
    from penstock.executor.stored import open_runs

    begun = since(period) if period is not None else None
    with open_runs(project_settings()) as stored:
        rows = stored.runs(since=begun, limit=limit, **wanted)
    show({"runs": rows}, "\n".join(run_line(row) for row in rows) or "no runs", as_json=as_json)
    return 0


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--server", metavar="URL", help="Ask this executor; default: the database.")
@click.option("--tenant", metavar="ID", help="Whose run it is (with --server).")
@click.option("--spans", is_flag=True, help="As trace spans with GenAI names (OTLP-shaped), derived from the events.")
@json_option
def events(run_id: str, follow: bool, server: str | None, tenant: str | None, spans: bool, as_json: bool) -> int:
    """Shows the events of a run; with --json and --follow, one JSON document a line as they come."""
    if spans and follow:
        raise WrongUse("--spans needs a run that has ended", where=f"run {run_id}", now="leave --follow out")
    if server is not None:
        from penstock.executor.client import ExecutorClient

        path = f"/v1/runs/{quote(run_id, safe='')}/events"
        found: Iterator[dict[str, Any]] = ExecutorClient(server, tenant=tenant).stream("GET", path)
    else:
        found = _stored(run_id, follow=follow)
    if follow:
        for event in found:
            click.echo(orjson.dumps(event).decode() if as_json else _event(event))
        return 0
    listed = list(found)
    if spans:
        return _show_spans(listed, as_json=as_json)
    show({"events": listed}, "\n".join(_event(event) for event in listed), as_json=as_json)
    return 0


def _show_spans(events: list[dict[str, Any]], *, as_json: bool) -> int:
    from penstock.engine.spans import trace_spans

    found = trace_spans(events)
    lines = [
        f"{(one.end_time_unix_nano - one.start_time_unix_nano) / 1e6:10.1f} ms  {one.status:5}  {one.name}"
        for one in found
    ]
    show({"spans": [one.as_document() for one in found]}, "\n".join(lines), as_json=as_json)
    return 0


def _stored(run_id: str, *, follow: bool) -> Iterator[dict[str, Any]]:
    from penstock.contracts.event import TERMINAL
    from penstock.executor.stored import open_runs

    with open_runs(project_settings()) as stored:
        found = stored.events(run_id)
        if not found:
            raise NotFound("there is no such run in the database", where=f"run {run_id}", now="see `agentctl runs`")
        yield from found
        while follow and found[-1]["type"] not in TERMINAL:
            time.sleep(FOLLOW_S)
            fresh = stored.events(run_id, found[-1]["seq"])
            yield from fresh
            found += fresh


def run_line(run: dict[str, Any]) -> str:
    """A stored run in one line."""
    usage = run["usage"]
    cost = "cost unknown" if usage["costUsd"] is None else f"{usage['costUsd']:.6f} USD"
    return (
        f"{run['runId']}  {run['startedAt'][:19]}Z  {run['status']:9}  {run['agent']}@{run['version']} "
        f"({run['stage']}, {run['runtime']}, {run['mode']})  {run['durationMs']:.0f} ms  "
        f"{usage['totalTokens']} tokens  {cost}"
    )


def _event(event: dict[str, Any]) -> str:
    data = event["data"]
    if event["type"] == "token.delta":
        return f"     token.delta     {data['text']!r}"
    return f"{event['seq']:4} {event['time'][11:23]}  {event['type']:15} {_told(event['type'], data)}".rstrip()


def _told(kind: str, data: dict[str, Any]) -> str:
    if kind == "policy.decided":
        return f"{data['action']} {data['resource']}: {'allowed' if data['allowed'] else 'denied'}"
    if kind == "llm.retried":
        return f"{data['model']}: attempt {data['attempt']} failed, the next in {data['waitS']:.1f} s: {data['why']}"
    if kind == "llm.finished" and "usage" in data:
        return f"{data['model']}: {data['usage']['totalTokens']} tokens"
    error = data.get("error")
    why = f"{error['code']}: {error['what']}" if isinstance(error, dict) else str(error or "")
    return " ".join(filter(None, [str(data.get("model") or data.get("tool") or ""), why]))
