"""`agentctl metrics`: figures of stored live runs."""

from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.contracts.policy import Stage
from penstock.store.period import since as parse_since


@click.command()
@click.argument("agent", required=False)
@click.option("--stage", type=click.Choice(["dev", "canary", "prod"]), help="This stage; default: all.")
@click.option("--since", default="24h", show_default=True, metavar="PERIOD", help="30m, 24h, 7d, or a moment.")
@json_option
def metrics(agent: str | None, stage: Stage | None, since: str, as_json: bool) -> int:
    """Shows how many live runs there were, how they ended, how long they took and what they cost.

    An executor's own metrics are at its /metrics.
    """
    from penstock.executor.stored import open_stored
    from penstock.store.run_figures import RunFigures

    begun = parse_since(since)
    with open_stored(project_settings()) as database:
        found = RunFigures(database).summary(begun, agent=agent, stage=stage).as_document()
    show({"since": begun, "agent": agent, "stage": stage, **found}, _text(found), as_json=as_json)
    return 0


def _text(found: dict[str, Any]) -> str:
    ended = ", ".join(f"{count} {status}" for status, count in sorted(found["byStatus"].items()))
    latency = [f"{name} {_ms(found[f'{name}Latency'])}" for name in ("avg", "p50", "p95", "p99")]
    lines = [f"requests      {found['totalRequests']}{f' ({ended})' if ended else ''}"]
    rate = found["successRate"]
    lines.append(f"success rate  {'no data' if rate is None else format(rate, '.2%')}")
    lines.append(f"latency       {', '.join(latency)}")
    lines.append(f"cost          {_cost(found)}")
    lines += [f"{name:13} {one['mean']:.3f} of {one['n']} scores" for name, one in found["scores"].items()]
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return "no data" if value is None else f"{value:.0f} ms"


def _cost(found: dict[str, Any]) -> str:
    if found["runsWithoutPrice"]:
        return f"not known: {found['runsWithoutPrice']} runs have no price; the others {found['knownCost']:.6f} USD"
    average = found["avgCostPerRequest"]
    return f"{found['totalCost']:.6f} USD" + (f", {average:.6f} a request" if average is not None else "")
