"""`agentctl plan`: what a promotion would change, and what stands in the way."""

import json

import click

from penstock.cli.output import json_option, say, show
from penstock.cli.subject import read_subject, subject_options, workspace_here
from penstock.contracts.policy import Stage
from penstock.errors import Unavailable
from penstock.release.driver import plan_promotion
from penstock.release.plan import Plan, traffic


@click.command()
@subject_options
@json_option
def plan(version: str, stage: Stage, as_json: bool) -> int:
    """Shows what moving AGENT@V to a stage would change and every unmet condition. Changes nothing.

    Exit status 0: nothing stands in the way; 1: something does.
    """
    workspace = workspace_here()
    try:
        workspace.fetch()
    except Unavailable as error:
        say(f"planned on the base branch as last fetched: {error.what}")
    planned = plan_promotion(workspace, read_subject(version, stage))
    show(planned.as_document(), plan_text(planned), as_json=as_json)
    return 0 if planned.ready else 1


def plan_text(planned: Plan) -> str:
    """The plan for people."""
    of = planned.situation
    release = of.release.digest if of.release is not None else "does not resolve"
    lines = [f"{of.agent}@{of.version} to {of.stage}, release {release}"]
    if of.view is not None:
        lines.append(f"evidence {of.view.digest}: {of.view.verdict}: {of.view.sentence}")
    lines += [f"approved by {one.name} <{one.who}> (self-declared) at {one.at}" for one in planned.approvals]
    if planned.after is not None:
        lines += [
            "traffic before: " + _shares(traffic(of.stages)),
            "traffic after:  " + _shares(traffic(planned.after)),
        ]
        lines += ["", planned.text_diff.rstrip()]
    if planned.resolved_diff:
        lines += ["", "what differs from what stands there now:", json.dumps(planned.resolved_diff, indent=2)]
    lines.append("")
    if planned.ready:
        lines.append("nothing stands in the way")
    else:
        lines += ["in the way:", *(f"  - {one.sentence}" for one in planned.unmet)]
    return "\n".join(lines)


def _shares(shares: dict[str, str]) -> str:
    return "; ".join(f"{place} {share}" for place, share in shares.items()) or "nothing answers"
