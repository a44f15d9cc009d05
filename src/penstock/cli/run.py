"""`agentctl run`, `cancel` and `replay`: one run, here or on an executor."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import orjson

from penstock.cli.context import project_settings
from penstock.cli.given_json import read_json
from penstock.cli.ledger_text import ledger_line
from penstock.cli.output import json_option, say, show, write
from penstock.errors import Unavailable, WrongUse
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.contracts.model_choice import Complexity
    from penstock.engine.engine import RunHandle

LOCAL_EXECUTOR = "http://127.0.0.1:8080"
WAITING = ("queued", "running", "review")
"""Statuses of a run that did not end before its caller was answered."""
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command line asks for."""

    agent: str
    input: Any
    version: str | None
    stage: str | None
    session: str | None
    tenant: str | None
    user: str | None
    complexity: "Complexity | None"
    dry: bool
    as_json: bool

    @property
    def order(self) -> dict[str, Any]:
        """The wish as the body of a request."""
        fields = {"sessionId": self.session, "version": self.version, "stage": self.stage}
        fields["complexity"] = self.complexity
        given = {name: value for name, value in fields.items() if value is not None}
        return {"input": self.input, "mode": "dry" if self.dry else "live", **given}


@click.command()
@click.argument("agent")
@click.option("--input", "source", default="-", metavar="FILE", help="JSON in a file, - for stdin, or the JSON itself.")
@click.option("--stage", type=click.Choice(["dev", "canary", "prod"]), help="Exactly this stage.")
@click.option("--version", metavar="V", help="Exactly this version.")
@click.option("--session", metavar="ID", help="The session that the run belongs to.")
@click.option("--tenant", metavar="ID", help="Whose run it is.")
@click.option("--user", metavar="ID", help="Who asks.")
@click.option("--complexity", type=click.Choice(["simple", "medium", "complex"]), help="How hard the task is.")
@click.option("--dry", is_flag=True, help="The working tree's draft; tools answer from their examples.")
@click.option("--stream", is_flag=True, help="The model's words as they come.")
@click.option("--server", metavar="URL", help="Ask this executor; default: run it here.")
@click.option("--async", "queued", is_flag=True, help="Queue it on the executor, and do not wait for it.")
@json_option
def run(agent: str, source: str, stream: bool, server: str | None, queued: bool, **wishes: Any) -> int:
    """Runs an agent and prints its output.

    Here: what the release store's routing table says, or with --dry the working tree's draft, of which nothing is
    kept. Exit status 1 when the run does not finish; Ctrl-C cancels it.
    """
    wish = _Wish(agent=agent, input=read_json(source, "--input", 'a text is quoted: "..."'), **wishes)
    if queued and stream:
        raise WrongUse("nobody waits for a queued run's words", where="--async", now="leave out --stream or --async")
    if queued:
        return _queue(server or LOCAL_EXECUTOR, wish)
    if server is not None:
        result = _ask(server, wish, stream=stream)
    elif wish.dry:
        result = asyncio.run(_run_draft(project_settings(), wish, stream=stream))
    else:
        result = asyncio.run(_run_released(project_settings(), wish, stream=stream))
    if result["status"] in WAITING:
        text = f"{result['runId']}: {result['status']}; `agentctl review list` shows what it waits for"
        show(result, text, as_json=wish.as_json)
        return 0
    return _report(result, as_json=wish.as_json, streamed=stream)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--server", metavar="URL", default=LOCAL_EXECUTOR, show_default=True, help="The executor that has it.")
@click.option("--tenant", metavar="ID", help="Whose run it is.")
@json_option
def cancel(run_id: str, server: str, tenant: str | None, as_json: bool) -> int:
    """Ends a run of an executor as cancelled; exit status 1 when it has ended already."""
    from penstock.executor.client import ExecutorClient

    answer = ExecutorClient(server, tenant=tenant).post(f"/v1/runs/{quote(run_id, safe='')}/cancel", None)
    show(answer, f"{run_id}: cancel requested", as_json=as_json)
    return 0


@click.command()
@click.option("--run-id", "--runId", "run_id", required=True, metavar="RUN", help="A stored run.")
@click.option("--runtime", metavar="R", help="A declared runtime; default: the one that ran it.")
@json_option
def replay(run_id: str, runtime: str | None, as_json: bool) -> int:
    """Replays a stored run from its journal, on the same or another runtime, and compares the two.

    No model and no tool is asked, and nothing is kept. Exit status 1 when something differs, durations apart.
    """
    document = asyncio.run(_replay(project_settings(), run_id, runtime))
    show(document, _comparison_text(document), as_json=as_json)
    return 1 if document["differences"] else 0


def _ask(server: str, wish: _Wish, *, stream: bool) -> dict[str, Any]:
    from penstock.executor.client import ExecutorClient

    client = ExecutorClient(server, tenant=wish.tenant, user=wish.user)
    agent = quote(wish.agent, safe="")
    if not stream:
        return client.run(agent, wish.order)
    run_id = ""
    with contextlib.closing(client.stream("POST", f"/v1/agents/{agent}/runs?stream=true", wish.order)) as events:
        for event in events:
            run_id = event["runId"]
            _show_delta(event, as_json=wish.as_json)
    if not run_id:
        raise Unavailable("the stream ended before the run did", where=server, now="ask again")
    result: dict[str, Any] = client.get(f"/v1/runs/{run_id}")
    return result


def _queue(server: str, wish: _Wish) -> int:
    from penstock.executor.client import ExecutorClient

    client = ExecutorClient(server, tenant=wish.tenant, user=wish.user)
    headers = {"content-type": "application/json", "prefer": "respond-async"}
    path = f"/v1/agents/{quote(wish.agent, safe='')}/runs"
    accepted = client.send("POST", path, orjson.dumps(wish.order), headers)
    show(accepted, f"{accepted['runId']}: queued, {server}{accepted['url']}", as_json=wish.as_json)
    return 0


async def _run_draft(settings: Settings, wish: _Wish, *, stream: bool) -> dict[str, Any]:
    from penstock.executor.draft import assemble_draft, draft_call, resolve_draft

    if wish.stage is not None:
        raise WrongUse("a draft stands in no stage", where="--stage", now="leave out --stage or --dry")
    draft = resolve_draft(settings, wish.agent, wish.version)
    parts = await assemble_draft(settings, draft)
    try:
        caller = {"tenant": wish.tenant, "user": wish.user, "session_id": wish.session, "stream": stream}
        caller["complexity"] = wish.complexity
        handle = parts.engine.start(draft_call(settings, draft, wish.input, **caller))
        return await follow(handle, stream=stream, as_json=wish.as_json)
    finally:
        await parts.close()


async def _run_released(settings: Settings, wish: _Wish, *, stream: bool) -> dict[str, Any]:
    from penstock.executor.executor import Executor
    from penstock.executor.order import Identity, RunOrder

    logging.getLogger("penstock").setLevel(logging.ERROR)  # what matters of it comes as an error
    async with Executor(settings) as executor:
        order = RunOrder(wish.input, wish.session, wish.version, wish.stage, complexity=wish.complexity)
        _ = executor.table  # says why, if there is none
        await executor.ready_for_models()
        handle = await executor.submit(wish.agent, Identity(wish.tenant, wish.user), order, stream)
        return await follow(handle, stream=stream, as_json=wish.as_json)


async def follow(handle: "RunHandle", *, stream: bool, as_json: bool) -> dict[str, Any]:
    """The run's result, or where it will be if the run waits for a person.

    Ctrl-C cancels the run, and the result then says so.
    """
    from penstock.engine.lease import Postponed

    with _cancelled_by_interrupt(handle):
        if stream:
            async for event in handle.events():
                _show_delta(event, as_json=as_json)
        try:
            result = await handle.result()
        except Postponed as later:
            if not later.awaits_review:
                raise
            return {"runId": handle.run_id, "status": "review", "url": f"/v1/runs/{handle.run_id}"}
    return result.as_document()


@contextlib.contextmanager
def _cancelled_by_interrupt(handle: "RunHandle") -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, handle.cancel, "Ctrl-C")
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _show_delta(event: dict[str, Any], *, as_json: bool) -> None:
    if event["type"] == "token.delta":
        write(event["data"]["text"], newline=False, err=as_json)


def _report(result: dict[str, Any], *, as_json: bool, streamed: bool) -> int:
    output = result.get("output")
    text = output if isinstance(output, str) else orjson.dumps(output, option=orjson.OPT_INDENT_2).decode()
    if streamed:
        write("", err=as_json)
    if as_json:
        show(result, "", as_json=True)
    elif result["status"] == "finished" and not streamed:
        write(text)
    say(_summary(result))
    if result["status"] == "finished":
        return 0
    cancelled_here = result["status"] == "cancelled" and "Ctrl-C" in (result.get("error") or {}).get("what", "")
    return INTERRUPTED if cancelled_here else 1


def _summary(result: dict[str, Any]) -> str:
    usage, error = result["usage"], result.get("error")
    cost = "cost unknown" if usage["costUsd"] is None else f"{usage['costUsd']:.6f} USD"
    line = (
        f"{result['status']}: {result['agent']}@{result['version']} ({result['stage']}, {result['runtime']}), "
        f"{result['durationMs']:.0f} ms, {usage['totalTokens']} tokens, {cost}, run {result['runId']}"
    )
    if not error:
        return line
    faults = [f"  {fault['pointer'] or '/'}: {fault['what']}" for fault in error.get("faults", ())]
    ledger = [f"  {ledger_line(one)}" for one in error.get("ledger", ())]
    return "\n".join([line, f"  {error['where']}: {error['what']}", *faults, *ledger, f"  {error['now']}"]).rstrip()


async def _replay(settings: Settings, run_id: str, runtime: str | None) -> dict[str, Any]:
    from penstock.executor.replay import compare, read_stored_run, replaying, start_replay
    from penstock.executor.stored import open_runs

    with open_runs(settings) as runs:
        stored = read_stored_run(runs, run_id)
    async with replaying(settings) as (engine, releases):
        handle = start_replay(engine, releases, stored, runtime)
        with _cancelled_by_interrupt(handle):
            result = await handle.result()
        comparison = compare(stored, result, handle.past_events)
    return {"runId": run_id, **comparison.as_document()}


def _comparison_text(document: dict[str, Any]) -> str:
    rows = [f"{'':18}{'stored':>16}{'replayed':>16}"]
    for name, pair in document["figures"].items():
        mark = "  differs" if name in document["differences"] else ""
        rows.append(f"{name:18}{_cell(pair['stored']):>16}{_cell(pair['replayed']):>16}{mark}")
    for name in ("sequence", "output"):
        rows.append(f"{name:18}{'equal' if document[f'{name}Equal'] else 'differs':>32}")
    if document["error"]:
        rows.append(f"{document['error']['where']}: {document['error']['what']}")
    return "\n".join(rows)


def _cell(value: Any) -> str:
    return "unknown" if value is None else str(value)
