"""`agentctl feedback`: what a user says of a live run."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import orjson

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.errors import NotFound, WrongUse


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--rating", required=True, metavar="R", help="up, down, or a number from -1 to 1.")
@click.option("--comment", metavar="TEXT", help="Why.")
@click.option("--corrected", metavar="FILE", help="JSON: what the output should have been.")
@click.option("--user", metavar="ID", help="Who says it; a second word of the same user replaces the first.")
@click.option("--server", metavar="URL", help="Tell this executor; default: the database.")
@click.option("--tenant", metavar="ID", help="Whose run it is (with --server).")
@json_option
def feedback(
    run_id: str,
    rating: str,
    comment: str | None,
    corrected: str | None,
    as_json: bool,
    **caller: str | None,
) -> int:
    """Stores what a user says of a live run: it counts in `slo` and in the gate canary-runs.

    Personal data and keys in comment and correction are replaced before anything is stored.
    """
    given = {"comment": comment, "corrected": _read(corrected) if corrected is not None else None}
    document = {"rating": _rating(rating), **{name: value for name, value in given.items() if value is not None}}
    if caller["server"] is not None:
        from penstock.executor.client import ExecutorClient

        client = ExecutorClient(caller["server"], tenant=caller["tenant"], user=caller["user"])
        answer: dict[str, Any] = client.post(f"/v1/runs/{quote(run_id, safe='')}/feedback", document)
    else:
        answer = _store(run_id, document, caller["user"])
    show(answer, _text(answer), as_json=as_json)
    return 0


def _store(run_id: str, document: dict[str, Any], user: str | None) -> dict[str, Any]:
    from penstock.executor.feedback import feedback_order, keep_feedback
    from penstock.executor.stored import open_stored
    from penstock.store.runs import RunStore

    order = feedback_order(document, "feedback")
    with open_stored(project_settings()) as database:
        run = RunStore(database).run(run_id)
        if run is None:
            raise NotFound("there is no such run in the database", where=f"run {run_id}", now="see `agentctl runs`")
        return keep_feedback(database, run, order, user)


def _rating(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _read(file: str) -> Any:
    try:
        return orjson.loads(Path(file).read_bytes())
    except OSError as error:
        raise WrongUse(f"cannot be read: {error.strerror}", where=file, now="name a file with JSON") from None
    except orjson.JSONDecodeError as error:
        raise WrongUse(f"not JSON: {error}", where=file, now='a text is quoted: "..."') from None


def _text(answer: dict[str, Any]) -> str:
    said = answer["feedback"]
    lines = [f"{answer['runId']}: {said['rating']:+g}{' (in place of an earlier word)' if answer['replaced'] else ''}"]
    if "comment" in said:
        lines.append(f"  {said['comment']}")
    redacted = ", ".join(f"{count} x [{kind}]" for kind, count in sorted(answer["redacted"].items()))
    return "\n".join(lines + ([f"  redacted: {redacted}"] if redacted else []))
