"""`agentctl limits`: the limits in force on an executor, and what is at work under them."""

from typing import Any

import click

from penstock.cli.output import json_option, show
from penstock.cli.run import LOCAL_EXECUTOR


@click.command()
@click.option("--server", metavar="URL", default=LOCAL_EXECUTOR, show_default=True, help="The executor to ask.")
@json_option
def limits(server: str, as_json: bool) -> int:
    """Shows the limits in force on an executor, and what is at work, began in the last minute and waits."""
    from penstock.executor.client import ExecutorClient

    document = ExecutorClient(server).get("/v1/limits")
    show(document, _text(document), as_json=as_json)
    return 0


def _text(document: dict[str, Any]) -> str:
    held = f"held: {document['held']}" + (f" ({document['problem']})" if document["problem"] else "")
    head = f"{'level':8}{'name':28}{'running':>14}{'last minute':>16}{'waiting':>14}"
    return "\n".join([held, head, *map(_row, document["levels"])])


def _row(level: dict[str, Any]) -> str:
    limits = level["limits"]
    running, waiting = level["running"], level["waiting"]
    if level["runningEverywhere"] is not None:
        running, waiting = level["runningEverywhere"], level["waitingEverywhere"]
    began = "-" if level["beganLastMinute"] is None else level["beganLastMinute"]
    cells = (
        _of(running, limits["concurrency"]),
        _of(began, limits["ratePerMinute"]),
        _of(waiting, limits["queueDepth"]),
    )
    return f"{level['level']:8}{level['name'] or '-':28}{cells[0]:>14}{cells[1]:>16}{cells[2]:>14}"


def _of(count: object, limit: int | None) -> str:
    return f"{count} of {limit}" if limit is not None else str(count)
