"""`agentctl alerts`: what operators were told of."""

from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show


@click.command()
@click.argument("agent", required=False)
@click.option("--severity", type=click.Choice(["warning", "error"]), help="Of this severity alone.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="At most so many.")
@json_option
def alerts(agent: str | None, severity: str | None, limit: int, as_json: bool) -> int:
    """Shows the last alerts, newest first; 1,000 are kept.

    Executors raise them by the rules of pipelines/operations.yaml. Repeats within the quiet time count in the first.
    """
    from penstock.executor.stored import open_stored
    from penstock.store.alerts import AlertStore

    with open_stored(project_settings()) as database:
        found = AlertStore(database).recent(agent=agent, severity=severity, limit=limit)
    show({"alerts": found}, "\n".join(map(_line, found)) or "no alert", as_json=as_json)
    return 0


def _line(alert: dict[str, Any]) -> str:
    times = f" ({alert['count']} times)" if alert["count"] > 1 else ""
    run = f", run {alert['runId']}" if alert["runId"] else ""
    return f"{alert['at']} {alert['severity']} {alert['agent']} {alert['rule']}: {alert['what']}{times}{run}"
