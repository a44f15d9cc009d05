"""`agentctl record`: the journals of a contract suite."""

import asyncio

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.cli.verdict import parse_version


@click.command()
@click.argument("version", metavar="AGENT@V")
@click.option("--case", "cases", multiple=True, metavar="NAME", help="Only this case; may be given again.")
@json_option
def record(version: str, cases: tuple[str, ...], as_json: bool) -> int:
    """Records the contract suite of a version, from the working tree: each case once, against the real model.

    Reading tools are called; what writing tools answer comes from the case's fixtures or the tool's examples. Commit
    the files: the `contract` gate replays them.
    """
    from penstock.gates.record_version import record_version

    agent, number = parse_version(version)
    changed = asyncio.run(record_version(project_settings(), agent, number, cases))
    text = "\n".join(f"recorded {path}" for path in changed) or "nothing changed: the recordings are up to date"
    show({"agent": agent, "version": number, "recorded": changed}, text, as_json=as_json)
    return 0
