"""Where reports lie: below reports/ of the project, and beside the evidence in the release store."""

import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import orjson

from penstock.errors import Unavailable
from penstock.reporting.drawing import can_draw
from penstock.reporting.junit import as_junit
from penstock.reporting.note import as_note
from penstock.reporting.page import as_page
from penstock.reporting.report import Report
from penstock.reporting.visible_text import encodable

FOLDER = "reports"
PAGE, JSON, JUNIT, NOTE = "report.html", "report.json", "junit.xml", "note.md"


class ReportStore(Protocol):
    """Keeps reports for good (`penstock.store.releases.ReleaseStore`)."""

    def put_report(self, evidence: str, name: str, data: bytes) -> object:
        """Keeps one file of the report on that evidence; what has the name stays."""
        ...


def report_files(report: Report) -> dict[str, bytes]:
    """Name -> bytes; a report has the same bytes whenever it is made of the same facts.

    report.html is there where the template engine is (extra `evals`); without it note.md says how to get it, and
    everything else is as ever: no command fails for a page that only shows.
    """
    document = encodable(report.document)
    report = Report(document)
    files = {
        JSON: orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n",
        JUNIT: as_junit(report),
        NOTE: as_note(report, has_page=can_draw()).encode(),
    }
    return {PAGE: as_page(report).encode(), **files} if can_draw() else files


def reading_file(files: Collection[str]) -> str:
    """The one that a person opens: the page, else the note."""
    return PAGE if PAGE in files else NOTE


def write_report(root: Path, report: Report) -> Path:
    """Writes the report into the project's reports/ and returns the file to read; each appears whole or not at all.

    Raises `Unavailable` when the folder cannot be written.
    """
    folder = root / FOLDER / report.folder
    files = report_files(report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            _replace(folder / name, data)
        if PAGE not in files:  # a page of an earlier check would show what is no longer so
            (folder / PAGE).unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the report cannot be written: {error.strerror}", where=str(folder), now="see the folder's permissions"
        ) from None
    return folder / reading_file(files)


def store_report(store: ReportStore, report: Report) -> None:
    """Keeps the report beside its evidence; a draft is never kept. Raises `Unavailable`."""
    evidence = report.document["evidence"]
    if evidence is None:
        return
    for name, data in report_files(report).items():
        store.put_report(evidence, name, data)


def _replace(place: Path, data: bytes) -> None:
    """Swaps the file in one step, so that a Ctrl-C leaves the old one or the new one."""
    handle, temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
