"""What a branch, or the working tree, changes against its base branch."""

from collections.abc import Collection
from dataclasses import dataclass, field

from penstock.errors import Unavailable
from penstock.registry.git import FileAt, Repository
from penstock.registry.git_command import git
from penstock.registry.source import PROJECT_FOLDERS, Entry, Source

# A change of these is judged against every document, not only against those that came with it.
_OF_EVERYTHING = ("registry_repo/teams.yaml", "registry_repo/retired.yaml", "runtimes/", "pipelines/")


@dataclass(frozen=True, slots=True)
class Changed:
    """One file before (at the merge base) and after; None where it is not there."""

    before: FileAt | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class Change:
    """All files that differ. `base` is the merge base, `tip` the base branch's head, `head` the commit judged."""

    base: str
    tip: str
    head: str
    files: dict[str, Changed] = field(default_factory=dict)

    @property
    def added(self) -> list[str]:
        """Paths that the base does not have, sorted."""
        return sorted(path for path, file in self.files.items() if file.before is None)

    @property
    def removed(self) -> list[str]:
        """Paths that are gone, sorted."""
        return sorted(path for path, file in self.files.items() if file.after is None)

    def reading(self) -> Collection[str] | None:
        """What must be read to judge the change; None = everything."""
        if self.removed or any(path.startswith(_OF_EVERYTHING) for path in self.files):
            return None
        return self.files.keys()


def change_against(repository: Repository, source: Source, base: str) -> Change:
    """What `source` changes since it left `base`.

    Raises `NotFound` for an unknown revision and `Unavailable` where there is no merge base to judge against.
    """
    tip = repository.resolve(base)
    head = source.commit or repository.head()
    origin = repository.merge_base(tip, head)
    if origin is None:
        raise Unavailable(
            f"{base} and {head[:12]} have no merge base", where=str(repository.root), now="`git fetch --unshallow`"
        )
    if source.commit is None:
        return Change(origin, tip, head, _in_tree(repository, source, origin))
    entries = source.entries()
    files = {
        path: Changed(before, entries.get(path))
        for path, (before, _) in repository.changes(origin, head).items()
        if path.startswith(PROJECT_PREFIXES)
    }
    return Change(origin, tip, head, files)


PROJECT_PREFIXES = tuple(f"{folder}/" for folder in PROJECT_FOLDERS)


def _in_tree(repository: Repository, source: Source, origin: str) -> dict[str, Changed]:
    """Git's own comparison, which knows unchanged files by their times; untracked files are new."""
    folders = ("--", *PROJECT_FOLDERS)
    questions = (
        ["diff", "--name-only", "--no-renames", "--relative", "--ignore-submodules=none", "-z", origin, *folders],
        ["ls-files", "--others", "--exclude-standard", "-z", *folders],
    )
    paths: set[str] = set()
    for question in questions:
        answer = git(repository.root, question)
        if answer.status:
            raise Unavailable(
                f"git {question[0]} failed: {answer.words}", where=str(repository.root), now="mend the repository"
            )
        paths.update(path.rstrip("/") for path in answer.out.split("\0") if path)
    entries = source.entries()
    files = {path: Changed(repository.file_at(origin, path), entries.get(path)) for path in paths}
    return {path: file for path, file in files.items() if file.before or file.after}
