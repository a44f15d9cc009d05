"""What the commands of the release path share: the version and stage that they are about, and how they answer."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from penstock.cli.context import project_settings
from penstock.cli.verdict import parse_version
from penstock.contracts.policy import Stage
from penstock.contracts.routing_table import AgentRoutes
from penstock.release.workspace import Workspace, open_workspace

F = TypeVar("F", bound=Callable[..., Any])


def subject_options(command: F) -> F:
    """Adds `AGENT@V --to STAGE` to a command, as the parameters `version` and `stage`."""
    stage = click.option(
        "--to", "stage", type=click.Choice(["dev", "canary", "prod"]), required=True, help="Where it is to stand."
    )
    return click.argument("version", metavar="AGENT@V")(stage(command))


def reason_option(default: str | None = None) -> Callable[[F], F]:
    """Adds `--reason TEXT`, required if there is no default."""
    told = "Shown wherever the change is."
    if default is None:  # to click a default that is given counts as a value, None too
        return click.option("--reason", metavar="TEXT", required=True, help=told)
    return click.option("--reason", metavar="TEXT", default=default, help=told)


def read_subject(version: str, stage: Stage) -> tuple[str, str, Stage]:
    """Agent, version and stage; raises `WrongUse` for what is no AGENT@V."""
    return (*parse_version(version), stage)


def workspace_here() -> Workspace:
    """The workspace of the project that the command is about."""
    return open_workspace(project_settings())


def standing_line(routes: AgentRoutes) -> str:
    """Who stands where, in one line."""
    parts: list[str] = [routes.status] if routes.status != "active" else []
    for place, entry in (("prod", routes.prod), ("canary", routes.canary), ("previous", routes.previous)):
        if entry is not None:
            parts.append(f"{place} {entry.version}")
    if routes.dev:
        parts.append(f"dev {', '.join(entry.version for entry in routes.dev)}")
    if routes.degraded is not None:
        one = routes.degraded
        parts.append(f"degraded to {one.model} by {one.by}: {one.reason}")
    if routes.hold is not None:
        parts.append(f"held by {routes.hold['by']}: {routes.hold['reason']}")
    return "; ".join(parts) or "nothing stands anywhere"
