"""Checks an archive against itself: every object is there and is what its index says."""

from dataclasses import dataclass, field
from typing import Any

from penstock.errors import Unavailable
from penstock.store.archive import FACTS, Archive
from penstock.store.archive_format import ArchiveIndex, lines


@dataclass(slots=True)
class ArchiveCheck:
    """What was read, and what is wrong with it, one sentence each."""

    days: int = 0
    objects: int = 0
    runs: int = 0
    deleted_contents: int = 0
    problems: list[str] = field(default_factory=list)

    def as_document(self) -> dict[str, Any]:
        """The check as a JSON object."""
        return {
            "days": self.days,
            "objects": self.objects,
            "runs": self.runs,
            "deletedContents": self.deleted_contents,
            "problems": self.problems,
        }


def check_archive(archive: Archive, *, first_day: str, first_contents_day: str) -> ArchiveCheck:
    """Reads everything of the days from `first_day` (`2026/11/20`) on.

    Contents from before `first_contents_day` are past their retention. Raises `Unavailable` when there is no asking.
    """
    check = ArchiveCheck()
    for day in archive.days(FACTS):
        if day >= first_day:
            check.days += 1
            _check_day(archive, day, check, with_contents=day >= first_contents_day)
    return check


def _check_day(archive: Archive, day: str, check: ArchiveCheck, *, with_contents: bool) -> None:
    expected: dict[str, set[str]] = {}
    try:
        for index in archive.indexes(day):
            check.objects += 1
            _check_facts(archive, index, check)
            for run_id, digest in index.contents.items():
                expected.setdefault(run_id, set()).update([digest] if digest is not None else [])
    except Unavailable as problem:
        check.problems.append(f"{problem.where}: {problem.what}")
    check.runs += len(expected)
    for run_id, digests in expected.items():
        if digests and with_contents:
            _check_contents(archive, run_id, digests, check)


def _check_facts(archive: Archive, index: ArchiveIndex, check: ArchiveCheck) -> None:
    try:
        found = {line.get("runId") for line in lines(index.object, archive.facts(index))}
    except Unavailable as problem:
        check.problems.append(f"{problem.where}: {problem.what}")
        return
    if found != index.contents.keys():
        check.problems.append(f"{index.name}: names other runs than its object holds")


def _check_contents(archive: Archive, run_id: str, digests: set[str], check: ArchiveCheck) -> None:
    """What came late may have been added: the newest of the digests then counts, and that is one of them."""
    digest = archive.contents_digest(run_id)
    if digest is None and archive.is_erased(run_id):
        check.deleted_contents += 1
    elif digest not in digests:
        how = "are gone" if digest is None else "are not what was written"
        check.problems.append(f"run {run_id}: its contents {how}")
