"""`agentctl purge`: deletes what is older than its retention, or the payloads of one run."""

from typing import TYPE_CHECKING

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.errors import WrongUse

if TYPE_CHECKING:
    from penstock.settings import Settings

_WORDS = {
    "erasures": "deletion requests to carry on",
    "runsToArchive": "runs to archive first",
    "payloadRuns": "runs whose payloads leave the database",
    "runs": "runs",
    "deadRuns": "runs whose process died",
    "sessionMessages": "messages of sessions",
    "payloadObjects": "objects of the payload store",
    "uploads": "uploads",
    "archivedObjects": "objects of the archive",
    "archivedPayloadObjects": "payloads of the archive",
}


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--run", "run_id", metavar="RUN", help="The payloads of this run, at once, wherever they are.")
@json_option
def purge(dry_run: bool, run_id: str | None, as_json: bool) -> int:
    """Deletes what is older than `spec.retention` of pipelines/operations.yaml says, archived first.

    With --run: deletes what was said in one run, for good, in the archive too; its facts stay. Exit status 1 when
    something has to stay that should go.
    """
    if run_id is not None:
        if dry_run:
            raise WrongUse("--run and --dry-run do not go together", where="agentctl purge", now="leave one out")
        return _purge_run(project_settings(), run_id, as_json=as_json)
    return _purge(project_settings(), dry_run=dry_run, as_json=as_json)


def _purge(settings: "Settings", *, dry_run: bool, as_json: bool) -> int:
    from penstock.executor.operations_file import read_operations
    from penstock.executor.stored import open_stored
    from penstock.registry.layout import OPERATIONS
    from penstock.store.purge import Purge
    from penstock.store.retention import Cutoffs, plan_purge

    cutoffs = Cutoffs.of(read_operations(settings.root / OPERATIONS).retention)
    problems: list[str] = []
    with open_stored(settings) as database:
        if dry_run:
            figures = plan_purge(database, cutoffs).as_document()
        else:
            work = Purge(database, cutoffs)
            figures, problems = work.run().as_document(), work.problems
    lines = [f"{count:9}  {_WORDS[name]}" for name, count in figures.items() if count]
    head = ("would go:" if dry_run else "gone:") if lines else "nothing is older than its retention"
    document = {"dryRun": dry_run, **figures, "problems": problems}
    show(document, "\n".join([head, *lines, *problems]), as_json=as_json)
    return 1 if problems else 0


def _purge_run(settings: "Settings", run_id: str, *, as_json: bool) -> int:
    from penstock.errors import NotFound
    from penstock.executor.stored import open_runs

    with open_runs(settings) as runs:
        if not runs.events(run_id):
            raise NotFound("there is no such run", where=f"run {run_id}", now="`agentctl runs` lists them")
        count = runs.delete_payloads(run_id)
    show({"runId": run_id, "payloads": count}, f"the payloads of run {run_id} are deleted", as_json=as_json)
    return 0
