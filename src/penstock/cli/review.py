"""`agentctl review`: calls that wait for a person, and the person's decision."""

from typing import Any
from urllib.parse import quote, urlencode

import click
import orjson

from penstock.cli.context import me, project_settings, released
from penstock.cli.given_json import read_json
from penstock.cli.output import json_option, show

STATES = ("open", "approved", "rejected", "expired", "all")
MAX_SHOWN = 200


def _decision_options(command: Any) -> Any:
    for option in (
        click.argument("run_id", metavar="RUN"),
        click.option("--call", "call_id", metavar="ID", help="Which call, where several of the run wait."),
        click.option("--user", metavar="ID", help="Who decides; default: `git config user.email`."),
        click.option("--server", metavar="URL", help="Tell this executor; default: the database."),
        click.option("--tenant", metavar="ID", help="Whose run it is (with --server)."),
        json_option,
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def review(ctx: click.Context, as_json: bool) -> int:
    """Calls of tools that wait for a person (an agent's `fallback.human`). Without a command: lists them."""
    return 0 if ctx.invoked_subcommand is not None else int(ctx.invoke(list_, as_json=as_json))


@review.command(name="list")
@click.option("--state", type=click.Choice(STATES), default="open", show_default=True, help="open: those that wait.")
@click.option("--agent", metavar="NAME", help="Those of this agent.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="The oldest so many.")
@click.option("--server", metavar="URL", help="Ask this executor; default: the database.")
@click.option("--tenant", metavar="ID", help="Those of this tenant.")
@json_option
def list_(state: str, agent: str | None, limit: int, server: str | None, tenant: str | None, as_json: bool) -> int:
    """Lists calls with their arguments, the oldest first."""
    if server is not None:
        from penstock.executor.client import ExecutorClient

        wanted = {"state": state, "limit": limit, **({"agent": agent} if agent is not None else {})}
        rows = ExecutorClient(server, tenant=tenant).get(f"/v1/reviews?{urlencode(wanted)}")["reviews"]
    else:
        rows = _stored(None if state == "all" else state, agent, limit, tenant)
    show({"reviews": rows}, "\n".join(map(_line, rows)) or "nothing waits for a person", as_json=as_json)
    return 0


@review.command()
@_decision_options
@click.option("--comment", metavar="TEXT", help="Why; kept with the decision.")
@click.option("--arguments", metavar="JSON", help="Call it with these arguments instead: JSON, or a file of it.")
def approve(run_id: str, arguments: str | None, **words: Any) -> int:
    """Lets the call be made; the run goes on, on whichever executor takes it."""
    document: dict[str, Any] = {"decision": "approve"}
    if arguments is not None:
        document["arguments"] = read_json(arguments, "--arguments", 'such as {"amount": 5}')
    return _decide(run_id, document, **words)


@review.command()
@_decision_options
@click.option("--comment", required=True, metavar="TEXT", help="Why; the model reads it.")
def reject(run_id: str, **words: Any) -> int:
    """Keeps the call from being made; the run goes on, and its model reads the comment."""
    return _decide(run_id, {"decision": "reject"}, **words)


def _decide(
    run_id: str,
    document: dict[str, Any],
    *,
    call_id: str | None,
    comment: str | None,
    user: str | None,
    server: str | None,
    tenant: str | None,
    as_json: bool,
) -> int:
    given = {"callId": call_id, "comment": comment}
    document |= {name: value for name, value in given.items() if value is not None}
    who = user if user is not None else me()
    if server is not None:
        from penstock.executor.client import ExecutorClient

        client = ExecutorClient(server, tenant=tenant, user=who)
        answer: dict[str, Any] = client.post(f"/v1/runs/{quote(run_id, safe='')}/decision", document)
    else:
        answer = _store(run_id, document, who)
    show(answer, f"{run_id}: {answer['tool']} {answer['state']} by {who}", as_json=as_json)
    return 0


def _stored(state: str | None, agent: str | None, limit: int, tenant: str | None) -> list[dict[str, Any]]:
    from penstock.executor.reviews import review_document
    from penstock.executor.stored import open_stored
    from penstock.store.reviews import ReviewStore

    with open_stored(project_settings()) as database:
        found = ReviewStore(database).reviews(state=state, agent=agent, limit=limit, tenant=tenant)
    return [review_document(one) for one in found]


def _store(run_id: str, document: dict[str, Any], user: str) -> dict[str, Any]:
    from penstock.executor.reviews import decide, decision_order, review_document
    from penstock.executor.stored import open_stored

    settings = project_settings()
    order = decision_order(document, "decision")
    with open_stored(settings) as database:
        return review_document(decide(database, released(settings), run_id, order, tenant=None, user=user))


def _line(row: dict[str, Any]) -> str:
    arguments = orjson.dumps(row["arguments"]).decode()
    shown = arguments if len(arguments) <= MAX_SHOWN else f"{arguments[:MAX_SHOWN]}..."
    state = f"until {row['expiresAt'][:19]}Z" if row["state"] == "open" else f"{row['state']} {row['decidedAt'][:19]}Z"
    by = f" by {row['decidedBy']}" if row["decidedBy"] else ""
    why = f": {row['comment']}" if row["comment"] else ""
    return f"{row['runId']}  {row['callId']}  {row['agent']}@{row['version']}  {row['tool']} {shown}  {state}{by}{why}"
