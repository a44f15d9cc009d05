"""`agentctl promote`: moves a version to a stage, or says everything that stands in the way."""

import click

from penstock.cli.notify import tell_changes
from penstock.cli.output import json_option, show
from penstock.cli.subject import read_subject, standing_line, subject_options, workspace_here
from penstock.cli.verdict import Terminal
from penstock.contracts.policy import Stage
from penstock.errors import WrongUse
from penstock.release.apply import Applied
from penstock.release.driver import promote as promote_here
from penstock.release.driver import request_promotion
from penstock.release.proposal import Proposal
from penstock.release.workspace import Workspace

OUTCOMES = {"done": 0, "refused": 1, "waiting": 1}


@click.command()
@subject_options
@click.option("--override", is_flag=True, help="Go on without evidence or approval; a release manager's, logged.")
@click.option("--reason", metavar="TEXT", help="Why it is overridden.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Under driver = dagster: s."
)
@json_option
def promote(version: str, stage: Stage, override: bool, reason: str | None, wait_s: float, as_json: bool) -> int:
    """Moves AGENT@V to a stage: evidence and approvals read again, stages file committed, routing table published.

    Under driver = dagster it stores the request and waits for the sensor that applies it.
    """
    if override != bool(reason):
        raise WrongUse("--override needs --reason, and --reason --override", now="say why it is overridden")
    workspace, subject = workspace_here(), read_subject(version, stage)
    if workspace.settings.driver == "dagster":
        return _ask(workspace, subject, reason, wait_s, as_json=as_json)
    applied = promote_here(workspace, subject, override=reason, progress=Terminal(version))
    if applied.proposal is not None:
        return _waits(version, stage, applied, applied.proposal, as_json=as_json)
    table = applied.published.table
    assert table is not None
    routes = table.agents[subject[0]]
    standing = routes.dev if stage == "dev" else [getattr(routes, stage)]
    is_in_force = any(entry is not None and entry.version == subject[1] for entry in standing)
    hindrances = [*map(str, applied.published.unresolved), *applied.published.problems]
    document = {
        "outcome": "done" if is_in_force else "committed",
        "agent": subject[0],
        "version": subject[1],
        "to": stage,
        "commit": applied.commit,
        "generation": table.generation,
        "override": override,
        "stages": standing_line(routes),
        "problems": hindrances,
    }
    told = f"stands in {stage}" if is_in_force else f"is committed to {stage} but does not stand there yet"
    text = (
        f"{version} {told}: commit {applied.commit[:12]}, routing table {table.generation} is in force\n"
        f"  {subject[0]}: {standing_line(routes)}"
    )
    show(document, "\n  ".join([text, *([] if is_in_force else hindrances)]), as_json=as_json)
    tell_changes(workspace)
    return 0 if is_in_force else 1


def _waits(version: str, stage: Stage, applied: Applied, proposal: Proposal, *, as_json: bool) -> int:
    document = {
        "outcome": "waiting",
        "reason": "merge",
        "mergeRequest": {"url": proposal.url, "number": proposal.number},
        "commit": applied.commit,
        "to": stage,
        "unmet": [one.sentence for one in applied.plan.unmet],
    }
    lines = [f"{version} to {stage}: waiting: merge: {proposal.url}"]
    lines += [f"  - {one.sentence}" for one in applied.plan.unmet]
    show(document, "\n".join(lines), as_json=as_json)
    return OUTCOMES["waiting"]


def _ask(
    workspace: Workspace, subject: tuple[str, str, Stage], reason: str | None, wait_s: float, *, as_json: bool
) -> int:
    answer = request_promotion(workspace, subject, wait_s=wait_s, override=reason)
    text = f"{subject[0]}@{subject[1]} to {subject[2]}: {answer.outcome}: {answer.reason}\n  request {answer.request}"
    show(answer.as_document(), text, as_json=as_json)
    return OUTCOMES[answer.outcome]
