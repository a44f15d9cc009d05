"""`agentctl batch`: many runs of one agent, from a file of JSON lines."""

import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import orjson

from penstock.cli.output import json_option, say, show, write
from penstock.cli.run import LOCAL_EXECUTOR
from penstock.errors import WrongUse

POLL_S = 0.5


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--agent", required=True, metavar="NAME", help="The agent that runs each line.")
@click.option("--wait", is_flag=True, help="Until all lines have ended; prints what became of each as JSON lines.")
@click.option("--key", metavar="KEY", help="The same file with the same key is one batch.")
@click.option("--server", metavar="URL", default=LOCAL_EXECUTOR, show_default=True, help="The executor to ask.")
@click.option("--tenant", metavar="ID", help="Whose batch it is.")
@click.option("--user", metavar="ID", help="Who asks.")
@json_option
def batch(file: str, agent: str, wait: bool, key: str | None, server: str, as_json: bool, **who: str | None) -> int:
    """Queues a batch: FILE (- for stdin) holds a JSON input, or a run order with `input`, on each line.

    Nothing is accepted when a line has a fault; all faults are named. With --wait, exit status 1 when a line did not
    finish.
    """
    from penstock.executor.client import ExecutorClient

    client = ExecutorClient(server, tenant=who["tenant"], user=who["user"])
    headers = {"content-type": "application/jsonl", **({"idempotency-key": key} if key else {})}
    path = f"/v1/agents/{quote(agent, safe='')}/batches"
    accepted = client.send("POST", path, _read(file), headers)
    if not wait:
        text = f"{accepted['batchId']}: {accepted['lines']} lines queued, {server}{accepted['url']}"
        show(accepted, text, as_json=as_json)
        return 0
    return _follow(client, accepted["batchId"], as_json=as_json)


def _follow(client: Any, batch_id: str, *, as_json: bool) -> int:
    say(f"batch {batch_id}")
    while (progress := client.get(f"/v1/batches/{batch_id}"))["status"] != "done":
        time.sleep(POLL_S)
    lines = [orjson.loads(line) for line in client.read(f"/v1/batches/{batch_id}/results").splitlines()]
    if as_json:
        show({**progress, "results": lines}, "", as_json=True)
    else:
        for line in lines:
            write(orjson.dumps(line).decode())
    counts = progress["counts"]
    say(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    return 0 if counts.get("finished", 0) == progress["lines"] else 1


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise WrongUse(f"cannot be read: {why}", where=file, now="give a file of JSON lines, or -") from None
