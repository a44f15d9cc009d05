"""`agentctl approve` and `reject`: a person's decision about the evidence that a report shows."""

import click

from penstock.cli.output import json_option, show
from penstock.cli.subject import read_subject, subject_options, workspace_here
from penstock.contracts.evidence import Approval
from penstock.contracts.policy import Stage
from penstock.errors import WrongUse
from penstock.release.approval import accept as accept_gate
from penstock.release.approval import decide

REPORT = click.option(
    "--report", required=True, metavar="EVIDENCE", help="The evidence, or 12 hex digits of its start."
)


@click.command()
@subject_options
@REPORT
@click.option("--comment", metavar="TEXT", help="Why; shown with the approval.")
@click.option("--accept", metavar="GATE", help="Open this gate, which is inconclusive, and approve nothing else.")
@click.option("--reason", metavar="TEXT", help="Why the gate is opened; shown with it.")
@json_option
def approve(
    version: str,
    stage: Stage,
    report: str,
    comment: str | None,
    accept: str | None,
    reason: str | None,
    as_json: bool,
) -> int:
    """Approves AGENT@V for a stage on exactly this evidence. Who you are is what `git config user.email` says.

    With --accept GATE --reason TEXT it opens one gate that does not decide, where the pipeline says
    `inconclusive: person`; that is a decision of its own, and the approval is still to come.
    """
    if (accept is None) == (comment is None) or (accept is None) != (reason is None):
        raise WrongUse("an approval needs --comment; --accept needs --reason, and no --comment", now="say why")
    subject = read_subject(version, stage)
    if accept is not None:
        made = accept_gate(workspace_here(), subject, accept, report, reason or "")
        return _show(made, f"{version}: the inconclusive gate {accept} is accepted for {stage}", as_json=as_json)
    made = decide(workspace_here(), subject, "approve", report, comment or "")
    return _show(made, f"{version} approved for {stage}", as_json=as_json)


@click.command()
@subject_options
@REPORT
@click.option("--comment", required=True, metavar="TEXT", help="Why; shown with the decision.")
@json_option
def reject(version: str, stage: Stage, report: str, comment: str, as_json: bool) -> int:
    """Rejects AGENT@V for a stage on this evidence, until the same person approves it."""
    made = decide(workspace_here(), read_subject(version, stage), "reject", report, comment)
    return _show(made, f"{version} rejected for {stage}", as_json=as_json)


def _show(made: Approval, what: str, *, as_json: bool) -> int:
    text = (
        f"{what} by {made.name} <{made.who}> (self-declared: git config)\n"
        f"  evidence {made.evidence}\n  approval {made.digest}, counts until {made.expires_at}"
    )
    show({**made.as_document(), "approval": made.digest}, text, as_json=as_json)
    return 0
