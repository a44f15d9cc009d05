"""Where reports lie: below reports/ of the project, and beside the evidence in the release store."""

import os
import tempfile
from pathlib import Path
from typing import Protocol

import orjson

from penstock.errors import Unavailable
from penstock.reporting.markdown import as_markdown
from penstock.reporting.report import Report

FOLDER = "reports"


class ReportStore(Protocol):
    """Keeps reports for good (`penstock.store.releases.ReleaseStore`)."""

    def put_report(self, evidence: str, name: str, data: bytes) -> object:
        """Keeps one file of the report on that evidence; what has the name stays."""
        ...


def report_files(report: Report) -> dict[str, bytes]:
    """Name -> bytes; a report has the same bytes whenever it is made of the same facts."""
    written = orjson.dumps(report.document, option=orjson.OPT_INDENT_2) + b"\n"
    return {"report.json": written, "report.md": as_markdown(report).encode()}


def write_report(root: Path, report: Report) -> Path:
    """Writes the report into the project's reports/ and returns its report.md; each file appears whole or not at all.

    Raises `Unavailable` when the folder cannot be written.
    """
    folder = root / FOLDER / report.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in report_files(report).items():
            _replace(folder / name, data)
    except OSError as error:
        raise Unavailable(
            f"the report cannot be written: {error.strerror}", where=str(folder), now="see the folder's permissions"
        ) from None
    return folder / "report.md"


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
