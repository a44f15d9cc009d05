"""`agentctl plan`: what a promotion would change, and what stands in the way."""

import click

from penstock.cli.output import json_option, say, show
from penstock.cli.subject import read_subject, subject_options, workspace_here
from penstock.contracts.policy import Stage
from penstock.errors import Unavailable, WrongUse
from penstock.release.driver import plan_promotion
from penstock.release.plan_view import plan_document, plan_markdown, plan_text


@click.command()
@subject_options
@click.option("--markdown", "as_markdown", is_flag=True, help="The same as Markdown, for a merge request.")
@json_option
def plan(version: str, stage: Stage, as_markdown: bool, as_json: bool) -> int:
    """Shows what moving AGENT@V to a stage would change and every unmet condition. Changes nothing.

    Exit status 0: nothing stands in the way; 1: something does.
    """
    if as_markdown and as_json:
        raise WrongUse("--markdown and --json are two forms", now="give one of them")
    workspace = workspace_here()
    try:
        workspace.fetch()
    except Unavailable as error:
        say(f"planned on the base branch as last fetched: {error.what}")
    planned = plan_promotion(workspace, read_subject(version, stage))
    text = plan_markdown(planned).rstrip() if as_markdown else plan_text(planned)
    show(plan_document(planned), text, as_json=as_json)
    return 0 if planned.ready else 1
