"""`agentctl archive`: old runs as objects, and whether they are all there."""

import contextlib

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.store.period import since

EVER = "0000/00/00"


@click.group()
def archive() -> None:
    """Puts ended runs into the archive, and checks it."""


@archive.command()
@click.option("--until", metavar="PERIOD", help="Runs older than this, as 7d; default: all of the days that are over.")
@json_option
def run(until: str | None, as_json: bool) -> int:
    """Archives ended runs, whole days of them; nothing is deleted.

    Exit status 1 when a run could not be archived: it stays in the database.
    """
    from penstock.executor.stored import open_stored
    from penstock.store.archiver import Archiver
    from penstock.store.clock import now

    limit = since(until, where="--until") if until is not None else now()
    with open_stored(project_settings()) as database:
        assert database.depots is not None
        report = Archiver(database, database.depots.archive).run(limit)
    text = f"archived {report.runs} runs in {report.objects} objects, {report.size_bytes} bytes"
    show(report.as_document(), "\n".join([text, *report.problems]), as_json=as_json)
    return 1 if report.problems else 0


@archive.command()
@click.option("--since", "period", metavar="PERIOD", help="Runs of these days only, as 7d; default: all.")
@json_option
def verify(period: str | None, as_json: bool) -> int:
    """Reads the archive and names what is missing or damaged; exit status 1 if anything is."""
    from penstock.executor.operations_file import read_operations
    from penstock.registry.layout import OPERATIONS
    from penstock.store.archive import Archive
    from penstock.store.archive_check import ArchiveCheck, check_archive
    from penstock.store.objects import StoreMissing
    from penstock.store.retention import Cutoffs
    from penstock.store.run_day import day_at

    settings = project_settings()
    kept = Cutoffs.of(read_operations(settings.root / OPERATIONS).retention)
    first_day = day_at(since(period)) if period is not None else EVER
    check = ArchiveCheck()
    with contextlib.suppress(StoreMissing):  # nothing was archived yet
        first_contents_day = day_at(kept.archived_payloads)
        check = check_archive(Archive(settings.archive), first_day=first_day, first_contents_day=first_contents_day)
    text = f"{check.runs} runs of {check.days} days in {check.objects} objects"
    verdict = "all is there" if not check.problems else f"{len(check.problems)} are missing or damaged"
    show(check.as_document(), "\n".join([f"{text}: {verdict}", *check.problems]), as_json=as_json)
    return 1 if check.problems else 0
