"""`agentctl ci`: what jobs of GitLab CI call."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.contracts.policy import Stage
from penstock.errors import Unavailable, WrongUse

if TYPE_CHECKING:
    from penstock.release.person import Person

NOTHING_BEFORE = re.compile("0{40}(0{24})?")
"""What GitLab says in place of a commit where there was none before."""


@click.group()
def ci() -> None:
    """What the jobs of GitLab CI call: the child pipeline of a change, and a version's move."""


@ci.command()
@click.option("--base", metavar="REV", help="What changed is judged against; zeros or none: what stands nowhere yet.")
@click.option("--counts", is_flag=True, help="For the protected base branch: results count, versions may be moved.")
@click.option("--include", "includes", metavar="FILE", multiple=True, help="A file of the project for the child.")
@click.option("--out", metavar="FILE", help="Write it there; default: standard output.")
@json_option
def pipeline(base: str | None, counts: bool, includes: tuple[str, ...], out: str | None, as_json: bool) -> int:
    """Writes the child pipeline: jobs for each agent version that the change brings, or whose evidence it voids.

    Nothing is measured or moved. Under driver = dagster --counts changes nothing: what counts is made by Dagster.
    """
    from penstock.cli.check import Checking
    from penstock.forge.child_pipeline import ChangedVersion, PipelineOrder, as_yaml, child_pipeline
    from penstock.release.workspace import open_workspace

    settings = project_settings()
    if counts and not settings.releases_url:
        raise WrongUse(
            "each job would have a release store of its own",
            where="PENSTOCK_RELEASES_URL",
            now="name one that they share",
        )
    checking = Checking(open_workspace(settings), None if not base or NOTHING_BEFORE.fullmatch(base) else base)
    wanted = checking.wanted() if checking.given_base else checking.pending()
    changed = [ChangedVersion(agent, version, checking.place(agent, version)) for agent, version in wanted]
    against = checking.base if checking.given_base else None
    order = PipelineOrder(against, counts and settings.driver == "ci", includes)
    document = child_pipeline(changed, checking.pipeline, order)
    names = [one.name for one in sorted(changed)]
    if out is None:
        show(document, as_yaml(document), as_json=as_json)
        return 0
    _write(Path(out), as_yaml(document))
    found = {"file": out, "base": against, "counts": order.counts, "versions": names}
    lines = [f"child pipeline in {out}", *(f"  {name}" for name in names or ["nothing changed"])]
    show(found, "\n".join(lines), as_json=as_json)
    return 0


@ci.command()
@click.argument("version", metavar="AGENT@V")
@click.option(
    "--to", "stage", type=click.Choice(["dev", "canary", "prod"]), required=True, help="Where it is to stand."
)
@json_option
def move(version: str, stage: Stage, as_json: bool) -> int:
    """Brings AGENT@V to a stage as `promote` does, for whoever started the job; done again it changes nothing.

    What the pipeline lets go by itself is moved by the bot. Exit status 0: it stands there, or further on.
    """
    from penstock.cli.subject import read_subject
    from penstock.cli.verdict import Terminal
    from penstock.release.stage_move import move_to_stage
    from penstock.release.workspace import Workspace, open_workspace

    workspace: Workspace = open_workspace(project_settings())
    starter = _starter()
    if starter is not None:
        workspace = workspace.acting_as(starter)
    subject = read_subject(version, stage)
    done = move_to_stage(workspace, subject, Terminal(version))
    document = {
        "agent": subject[0],
        "version": subject[1],
        "to": stage,
        "place": done.place,
        "moved": done.moved,
        "generation": done.generation,
    }
    text = f"{version} stands in {done.place or 'no stage'}: routing table {done.generation} is in force"
    if not done.arrived:
        text += f"\n  it does not stand in {stage} yet: the commit of its stages file is not on the base branch"
    show(document, text if done.moved or not done.arrived else f"{text}; nothing was to be done", as_json=as_json)
    return 0 if done.arrived else 1


def _starter() -> "Person | None":
    """Whoever started the job, as GitLab says; self-declared, since one who starts a job may set its variables.

    None outside of a job: then `git config` says who acts.
    """
    from penstock.release.person import Person

    name, mail = (os.environ.get(f"GITLAB_USER_{part}", "") for part in ("NAME", "EMAIL"))
    if not os.environ.get("GITLAB_CI") or not name or not mail:
        return None
    return Person(name, mail.lower())


def _write(place: Path, text: str) -> None:
    try:
        place.write_text(text, "utf-8")
    except OSError as error:
        raise Unavailable(
            f"cannot be written: {error.strerror}", where=str(place), now="name another file: --out FILE"
        ) from None
