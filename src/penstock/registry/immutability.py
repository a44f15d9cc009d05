"""A released version never changes: not its file, not its code, not their modes, not even a comment."""

from collections.abc import Mapping
from typing import Protocol

from penstock.errors import Fault
from penstock.registry.change import Change
from penstock.registry.git import FileAt, Repository
from penstock.registry.layout import Misplaced, document_path, place_of

NOW = "make a new version (`agentctl new version`)"


class _File(Protocol):
    @property
    def mode(self) -> str: ...
    @property
    def blob(self) -> str: ...


Pairs = Mapping[str, tuple[FileAt | None, _File | None]]


def immutability_faults(repository: Repository, change: Change) -> list[Fault]:
    """What a change does to versions that are released at the merge base, or were released at the tip meanwhile."""
    pairs = {path: (file.before, file.after) for path, file in change.files.items()}
    faults = released_faults(repository, change.base, pairs)
    return sorted(faults + _collisions(repository, change.tip, pairs))


def released_faults(repository: Repository, base: str, pairs: Pairs) -> list[Fault]:
    """Files of versions that `base` has, changed, removed, renamed or added to."""
    appeared = {after.blob: path for path, (before, after) in pairs.items() if before is None and after is not None}
    faults = []
    for path, (before, after) in pairs.items():
        document = version_of(path)
        if document is None:
            continue
        if before is not None:
            what = _what(before, after, appeared)
            if what:
                faults.append(Fault(path, 0, 0, "", what, NOW))
        elif path != document and repository.blob_id(base, document) is not None:
            faults.append(Fault(path, 0, 0, "", f"is added to a released version ({document})", NOW))
    return faults


def history_faults(repository: Repository, since: str, until: str) -> dict[str, list[Fault]]:
    """Commit -> what it did to released versions, commit by commit along a branch from `since` (exclusive).

    Empty where nothing was done. Raises `Unavailable` where a shallow clone cannot tell.
    """
    found: dict[str, list[Fault]] = {}
    commit = repository.commit(until)
    while commit.id != since and commit.parents:
        parent = commit.parents[0]
        faults = released_faults(repository, parent, repository.changes(parent, commit.id))
        if faults:
            found[commit.id] = sorted(faults)
        if parent != since and repository.is_ancestor(parent, since):
            # `since` came in by a merge: what it had is judged against the end.
            faults = released_faults(repository, since, repository.changes(since, until))
            if faults:
                found[until] = sorted({*faults, *found.get(until, [])})
            break
        commit = repository.commit(parent)
    return found


def version_of(path: str) -> str | None:
    """The file that declares the version which `path` is a part of; None if it is no part of one."""
    try:
        place = place_of(path)
    except Misplaced:
        return None
    if place.role not in {"document", "code"}:
        return None
    return document_path(place.folder, place.name, place.version)


def _what(before: FileAt, after: _File | None, appeared: Mapping[str, str]) -> str:
    if after is None:
        new = appeared.get(before.blob)
        return f"is released and was renamed to {new}" if new else "is released and was deleted"
    if before.mode != after.mode:
        return f"is released and changed its mode from {before.mode} to {after.mode}"
    return "is released and was changed" if before.blob != after.blob else ""


def _collisions(repository: Repository, tip: str, pairs: Pairs) -> list[Fault]:
    """New files of versions that somebody else released with other content since the branch left."""
    faults = []
    added = [(path, after) for path, (before, after) in pairs.items() if before is None and after is not None]
    folded = _folded(repository, tip) if added else {}
    for path, after in added:
        document = version_of(path)
        there = repository.file_at(tip, path)
        other = folded.get(path.casefold(), path)
        if other != path:
            faults.append(Fault(path, 0, 0, "", f"differs from {other} on the base branch in case alone", "rename it"))
        elif document is None:
            continue
        elif there is not None and (there.blob, there.mode) != (after.blob, after.mode):
            faults.append(Fault(path, 0, 0, "", "was released meanwhile with other content", NOW))
        elif there is None and repository.blob_id(tip, document) is not None and path != document:
            faults.append(Fault(path, 0, 0, "", f"is added to a version released meanwhile ({document})", NOW))
    return faults


def _folded(repository: Repository, commit: str) -> dict[str, str]:
    from penstock.registry.source import PROJECT_FOLDERS

    return {file.path.casefold(): file.path for file in repository.files(commit, PROJECT_FOLDERS)}
