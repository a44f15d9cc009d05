"""The bare repository behind the fake: branches, real merges, commits and diffs, read and written by libgit2."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pygit2

Identity = tuple[str, str]
_ZERO = "0" * 40


@dataclass(frozen=True)
class CommitFacts:
    """What a commit says of itself."""

    id: str
    parents: list[str]
    message: str
    author: Identity
    committer: Identity
    authored_at: datetime
    committed_at: datetime

    @property
    def title(self) -> str:
        """The first line of its message."""
        return self.message.split("\n", 1)[0]


@dataclass(frozen=True)
class FileDiff:
    """How one file changed: GitLab's fields of a diff."""

    old_path: str
    new_path: str
    old_mode: int
    new_mode: int
    status: str
    patch: str


class BareRepository:
    """One bare repository at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._git = pygit2.Repository(str(path))

    def heads(self) -> dict[str, str]:
        """Every branch with the commit it points to."""
        prefix = "refs/heads/"
        names = [name for name in self._git.references if name.startswith(prefix)]
        return {name.removeprefix(prefix): str(self._git.references[name].peel(pygit2.Commit).id) for name in names}

    def resolve(self, rev: str) -> str | None:
        """The commit that a branch, tag or (short) id names; None for nothing."""
        for name in (f"refs/heads/{rev}", f"refs/tags/{rev}"):
            if is_branch_name(rev) and name in self._git.references:
                return str(self._git.references[name].peel(pygit2.Commit).id)
        if len(rev) < 7 or not all(letter in "0123456789abcdef" for letter in rev):
            return None
        found = self._git.get(rev)
        return str(found.id) if isinstance(found, pygit2.Commit) else None

    def commit(self, commit_id: str) -> CommitFacts:
        """The facts of a commit that exists."""
        commit: Any = self._git[commit_id]
        return CommitFacts(
            id=str(commit.id),
            parents=[str(parent) for parent in commit.parent_ids],
            message=commit.message,
            author=(commit.author.name, commit.author.email),
            committer=(commit.committer.name, commit.committer.email),
            authored_at=_instant(commit.author),
            committed_at=_instant(commit.committer),
        )

    def set_branch(self, name: str, commit: str | None) -> None:
        """Points a branch to a commit, None removes it."""
        reference = f"refs/heads/{name}"
        if commit is None:
            self._git.references.delete(reference)
        else:
            self._git.references.create(reference, commit, force=True)

    def keep(self, iid: int, commit: str) -> None:
        """Points GitLab's own reference of a merge request's head to a commit, which a branch may lose later."""
        self._git.references.create(f"refs/merge-requests/{iid}/head", commit, force=True)

    def merge_base(self, a: str, b: str) -> str | None:
        """The best common ancestor."""
        found = self._git.merge_base(a, b)
        return str(found) if found else None

    def is_ancestor(self, a: str, b: str) -> bool:
        """Whether `b` has `a` in its history, or is it."""
        return a == b or bool(self._git.descendant_of(b, a))

    def commits(self, until: str, since: str | None = None, limit: int = 10_000) -> list[CommitFacts]:
        """The commits that `until` has and `since` has not, newest first."""
        walker = self._git.walk(until, pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.TIME)
        if since is not None:
            walker.hide(since)
        found: list[CommitFacts] = []
        for commit in walker:
            if len(found) == limit:
                break
            found.append(self.commit(str(commit.id)))
        return found

    def diff(self, before: str, after: str) -> list[FileDiff]:
        """What changed between two commits, renames found."""
        diff = self._git.diff(before, after)
        diff.find_similar()
        return [_file_diff(patch) for patch in diff]

    def commit_diff(self, commit_id: str) -> list[FileDiff]:
        """What a commit changed against its first parent."""
        parents = self.commit(commit_id).parents
        if parents:
            return self.diff(parents[0], commit_id)
        diff = self._git[commit_id].tree.diff_to_tree(swap=True)
        return [_file_diff(patch) for patch in diff]

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's bytes at a commit, None where it has no such file."""
        tree = self._git[commit].tree
        try:
            found = tree[path]
        except KeyError:
            return None
        return bytes(found.data) if isinstance(found, pygit2.Blob) else None

    def conflicts(self, target: str, source: str) -> bool:
        """Whether a merge of these two would need a person."""
        return self._git.merge_commits(target, source).conflicts is not None

    def write(
        self, parent: str, files: Mapping[str, str | bytes | None], message: str, author: Identity, at: datetime
    ) -> str:
        """A commit on `parent` with files replaced (None: removed); no branch moves."""
        index = pygit2.Index()
        index.read_tree(self._git[parent].tree)
        for path, content in files.items():
            if content is None:
                index.remove(path)
                continue
            data = content.encode() if isinstance(content, str) else content
            index.add(pygit2.IndexEntry(path, self._git.create_blob(data), pygit2.enums.FileMode.BLOB))
        return self._create(index.write_tree(self._git), message, (author, author), [parent], at)

    def merge(self, target: str, source: str, message: str, by: Identity, at: datetime) -> str | None:
        """A merge commit with both parents; None where they conflict. No branch moves."""
        index = self._git.merge_commits(target, source)
        if index.conflicts is not None:
            return None
        return self._create(index.write_tree(self._git), message, (by, by), [target, source], at)

    def squash(self, base: str, source: str, message: str, identities: tuple[Identity, Identity], at: datetime) -> str:
        """One commit on `base` with the tree of `source`; `identities` are author and committer."""
        return self._create(self._git[source].tree.id, message, identities, [base], at)

    def rebase(self, target: str, source: str, by: Identity, at: datetime) -> str | None:
        """The commits of `source` one by one on `target`; None where one conflicts. No branch moves."""
        onto = target
        for commit in reversed(self.commits(source, since=target)):
            if len(commit.parents) != 1:
                continue
            picked = self._git.merge_trees(
                self._git[commit.parents[0]].tree, self._git[onto].tree, self._git[commit.id].tree
            )
            if picked.conflicts is not None:
                return None
            onto = self._create(picked.write_tree(self._git), commit.message, (commit.author, by), [onto], at)
        return onto

    def close(self) -> None:
        """Frees what libgit2 holds open."""
        self._git.free()

    def _create(
        self, tree: Any, message: str, identities: tuple[Identity, Identity], parents: list[str], at: datetime
    ) -> str:
        author, committer = (pygit2.Signature(name, mail, int(at.timestamp()), 0) for name, mail in identities)
        return str(self._git.create_commit(None, author, committer, message, tree, parents))


def is_branch_name(name: str) -> bool:
    """Whether Git takes that name for a branch."""
    return "\0" not in name and bool(pygit2.reference_is_valid_name(f"refs/heads/{name}"))


def is_none(commit: str) -> bool:
    """Whether an id means "no commit", as in a push that makes or removes a branch."""
    return commit == _ZERO


def _instant(signature: Any) -> datetime:
    zone = timezone(timedelta(minutes=signature.offset))
    return datetime.fromtimestamp(signature.time, zone).astimezone(UTC)


def _file_diff(patch: Any) -> FileDiff:
    delta = patch.delta
    text = patch.text or ""
    start = text.find("@@")
    return FileDiff(
        old_path=delta.old_file.path,
        new_path=delta.new_file.path,
        old_mode=int(delta.old_file.mode),
        new_mode=int(delta.new_file.mode),
        status=delta.status_char(),
        patch=text[start:] if start >= 0 else "",
    )
