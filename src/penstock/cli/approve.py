"""`agentctl approve` and `reject`: a person's decision about the evidence that a report shows."""

from typing import Literal

import click

from penstock.cli.output import json_option, show
from penstock.cli.subject import read_subject, subject_options, workspace_here
from penstock.contracts.policy import Stage
from penstock.release.approval import decide


@click.command()
@subject_options
@click.option("--report", required=True, metavar="EVIDENCE", help="The evidence, or 12 hex digits of its start.")
@click.option("--comment", required=True, metavar="TEXT", help="Why; shown with the decision.")
@json_option
def approve(version: str, stage: Stage, report: str, comment: str, as_json: bool) -> int:
    """Approves AGENT@V for a stage on exactly this evidence. Who you are is what `git config user.email` says."""
    return _decide("approve", version, stage, (report, comment), as_json=as_json)


@click.command()
@subject_options
@click.option("--report", required=True, metavar="EVIDENCE", help="The evidence, or 12 hex digits of its start.")
@click.option("--comment", required=True, metavar="TEXT", help="Why; shown with the decision.")
@json_option
def reject(version: str, stage: Stage, report: str, comment: str, as_json: bool) -> int:
    """Rejects AGENT@V for a stage on this evidence, until the same person approves it."""
    return _decide("reject", version, stage, (report, comment), as_json=as_json)


def _decide(
    kind: Literal["approve", "reject"], version: str, stage: Stage, said: tuple[str, str], *, as_json: bool
) -> int:
    approval = decide(workspace_here(), read_subject(version, stage), kind, *said)
    verb = {"approve": "approved", "reject": "rejected"}[kind]
    text = (
        f"{version} {verb} for {stage} by {approval.name} <{approval.who}> (self-declared: git config)\n"
        f"  evidence {approval.evidence}\n  approval {approval.digest}, counts until {approval.expires_at}"
    )
    show({**approval.as_document(), "approval": approval.digest}, text, as_json=as_json)
    return 0
