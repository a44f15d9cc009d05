"""The registry's Git repository: the only place that reads or moves Git.

Objects are read through libgit2, whatever revision is meant and without a checkout; fetch and push go through the git
program (`git_command`, `git_push`), so that credentials, hooks and the user's configuration hold. All paths are
relative to the project's root, which may be a folder of a larger repository.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pygit2
from pygit2.enums import FileMode, SortMode

from penstock.errors import NotFound, Unavailable, WrongUse
from penstock.registry.commit import Commit
from penstock.registry.git_command import git
from penstock.registry.git_push import push_commit, remote_head

FULL_ID = 40
REMOTE = "origin"


@dataclass(frozen=True, slots=True, order=True)
class FileAt:
    """A file as one commit has it: mode (`100644`, `100755`, `120000` a symlink, `160000` a submodule), Git blob id."""

    path: str
    mode: str
    blob: str


class Repository:
    """A Git repository, a clone or bare. `remote` is a remote's name or URL; a repository without remotes has none."""

    def __init__(self, root: Path, repository: Any, remote: str = REMOTE) -> None:
        self.root = root
        self._git = repository
        self.remote = remote or REMOTE
        self._prefix = self._find_prefix()
        self._place = Path(repository.workdir or repository.path)

    @classmethod
    def open(cls, root: Path, remote: str = REMOTE) -> "Repository":
        """The repository at or around `root`; raises `Unavailable` if there is none or it cannot be read."""
        found = pygit2.discover_repository(str(root))
        if found is None:
            raise Unavailable("no Git repository", where=str(root), now="`git init`, or name the project by --project")
        try:
            return cls(root.resolve(), pygit2.Repository(found), remote)
        except pygit2.GitError as error:
            raise Unavailable(f"Git cannot be read: {error}", where=str(root), now="see `git status` there") from None

    def resolve(self, rev: str) -> str:
        """The full commit id of `rev` (a branch, tag, id or expression); raises `NotFound`."""
        try:
            return str(self._git.revparse_single(rev).peel(pygit2.Commit).id)
        except (KeyError, ValueError, pygit2.GitError):
            raise NotFound(
                f"no commit {rev!r}", where=str(self.root), now="`git fetch`, or name another revision"
            ) from None

    def head(self) -> str:
        """The commit that is checked out; raises `NotFound` before the first commit."""
        return self.resolve("HEAD")

    def is_ancestor(self, a: str, b: str) -> bool:
        """Whether `b` descends from `a` or is it; raises `Unavailable` where a shallow clone cannot tell."""
        if a == b or self._reaches(a, b):
            return True
        if self._git.is_shallow:
            raise self._shallow(a, b)
        return False

    def merge_base(self, a: str, b: str) -> str | None:
        """The newest commit that both descend from, None if they share none; `Unavailable` in a shallow clone."""
        try:
            found = self._git.merge_base(a, b)
        except (KeyError, ValueError, pygit2.GitError):
            found = None
        if found is None and self._git.is_shallow:
            raise self._shallow(a, b)
        return str(found) if found is not None else None

    def fetch(self, remote: str | None = None) -> None:
        """Brings the remote-tracking branches up to date; nothing to do without a remote.

        Raises `Unavailable` with git's own words.
        """
        source = self._named_remote(remote)
        if source is None:
            return
        words = ["fetch", "--quiet", source]
        if source not in self._remotes():
            words.append(f"+refs/heads/*:refs/remotes/{self._tracking(source)}/*")
        answer = git(self.root, words)
        if answer.status:
            raise Unavailable(
                f"git fetch failed: {answer.words}", where=source, now="check the network and your rights, then again"
            )

    def identity(self) -> tuple[str, str]:
        """`git config` user.name and user.email (in lower case); raises `WrongUse` if one is unset."""
        values = [git(self.root, ["config", "--get", f"user.{key}"]).out.strip() for key in ("name", "email")]
        if not all(values):
            raise WrongUse(
                "Git does not know who you are",
                where=str(self.root),
                now='`git config user.name "Your Name"` and `git config user.email you@example.org`',
            )
        return values[0], values[1].lower()

    def commits(self, path: str | None = None, since: str | None = None, until: str = "HEAD") -> list[Commit]:
        """Commits reachable from `until` and not from `since`, newest first.

        With a path only those that changed it (or what is below it) against each of their parents.
        """
        walker = self._walk(since, until)
        if path is None:
            return [Commit.of(commit) for commit in walker]
        return [Commit.of(commit) for commit in walker if self._changed(commit, path)]

    def commit(self, rev: str) -> Commit:
        """One commit; raises `NotFound`."""
        return Commit.of(self._git[self.resolve(rev)])

    def landed_at(self, commit: str, head: str) -> str:
        """When `head`'s own line of commits (first parents) came to hold `commit`: the time of its merge.

        Its own time where no merge did, or `head` does not hold it. RFC 3339 in UTC.
        """
        words = ["rev-list", "--first-parent", "--ancestry-path", f"{commit}..{head}"]
        later = git(self._place, words).out.split()
        if not later or str(self._commit(later[-1]).parent_ids[0]) == commit:
            return self.commit(commit).time
        return self.commit(later[-1]).time

    def branch_head(self, branch: str) -> str | None:
        """The head of a branch of the remote as it is now, of a local one without a remote; None: no such one.

        What was fetched once stays here after the remote has deleted it, so the remote is asked. Raises `Unavailable`.
        """
        remote = self._named_remote(None)
        if remote is not None:
            return remote_head(self.root, remote, branch)
        try:
            return self.resolve(f"refs/heads/{branch}")
        except NotFound:
            return None

    def blob_id(self, commit: str, path: str) -> str | None:
        """The Git id of what stands at `path`, None if nothing does."""
        found = self._at(self._commit(commit), path)
        return str(found.id) if found is not None else None

    def file_at(self, commit: str, path: str) -> FileAt | None:
        """The file at `path` with its mode, None if there is none."""
        found = self._at(self._commit(commit), path)
        if found is None or isinstance(found, pygit2.Tree):
            return None
        return FileAt(path, f"{int(found.filemode):06o}", str(found.id))

    def read(self, commit: str, path: str) -> bytes | None:
        """The bytes of a file, None if there is no file at `path`."""
        found = self._at(self._commit(commit), path)
        return bytes(found.data) if isinstance(found, pygit2.Blob) else None

    def read_blob(self, blob: str) -> bytes:
        """The bytes of a blob by its Git id; raises `Unavailable` if it is missing."""
        try:
            return bytes(self._git.odb.read(blob)[1])
        except (KeyError, pygit2.GitError):
            raise Unavailable(f"Git object {blob} is missing", where=str(self.root), now="`git fsck`") from None

    def blob_size(self, blob: str) -> int:
        """The size of a blob in bytes, read from its header."""
        try:
            return int(self._git.odb.read_header(blob)[1])
        except (KeyError, pygit2.GitError):
            raise Unavailable(f"Git object {blob} is missing", where=str(self.root), now="`git fsck`") from None

    def files(self, commit: str, folders: tuple[str, ...]) -> Iterator[FileAt]:
        """Every file below `folders` at a commit; raises `Unavailable`."""
        tree = f"{self._commit(commit).id}:{self._prefix.rstrip('/')}"
        answer = git(self._place, ["ls-tree", "-r", "-z", "--full-tree", tree, *folders])
        if answer.status:
            raise Unavailable(f"git ls-tree failed: {answer.words}", where=str(self.root), now="`git fsck`")
        for line in answer.out.split("\0")[:-1]:
            head, path = line.split("\t", 1)
            mode, _, blob = head.split(" ")
            yield FileAt(path, mode, blob)

    def names(self, commit: str, folder: str) -> list[str]:
        """What stands directly in a folder at a commit, sorted; empty if there is no such folder."""
        tree = self._at(self._commit(commit), folder)
        return sorted(str(entry.name) for entry in tree) if isinstance(tree, pygit2.Tree) else []

    def changes(self, before: str, after: str) -> dict[str, tuple[FileAt | None, FileAt | None]]:
        """Path -> the file before and after, for each file that two commits have differently. No rename detection."""
        trees = [self._at(self._commit(commit), "") for commit in (before, after)]
        full = [tree if tree is not None else self._git[self._git.TreeBuilder().write()] for tree in trees]
        found: dict[str, tuple[FileAt | None, FileAt | None]] = {}
        for delta in full[0].diff_to_tree(full[1]).deltas:
            path = delta.new_file.path or delta.old_file.path
            one, other = found.get(path, (None, None))  # a file that becomes a symlink is told in two deltas
            found[path] = (_side(delta.old_file) or one, _side(delta.new_file) or other)
        return found

    def changes_alone(self, commit: str, path: str) -> bool:
        """Whether a commit of one parent changes the file at `path` and nothing else, outside of the project too."""
        found = self._commit(commit)
        if len(found.parent_ids) != 1:
            return False
        deltas = found.parents[0].tree.diff_to_tree(found.tree).deltas
        return {delta.new_file.path or delta.old_file.path for delta in deltas} == {self._prefix + path}

    def write_commit(
        self,
        parent: str,
        changes: Mapping[str, bytes | None],
        message: str,
        author: tuple[str, str],
        at: datetime | None = None,
    ) -> str:
        """A commit on `parent` with files replaced (None: removed); no branch moves, no checkout is touched.

        `at`: when it is said to be made; None = now.
        """
        base = self._commit(parent)
        index = pygit2.Index()
        index.read_tree(base.tree)
        for path, data in changes.items():
            place = self._prefix + path
            known = base.tree[place].filemode if place in base.tree else FileMode.BLOB
            if data is not None:
                index.add(pygit2.IndexEntry(place, self._git.create_blob(data), known))
            elif place in base.tree:
                index.remove(place)
        who = pygit2.Signature(*author) if at is None else pygit2.Signature(*author, int(at.timestamp()), 0)
        return str(self._git.create_commit(None, who, who, message, index.write_tree(self._git), [parent]))

    def push(self, commit: str, branch: str, remote: str | None = None, expected: str | None = None) -> None:
        """Moves `branch` to `commit`: at the remote, or here by compare-and-swap when there is no remote.

        Raises `Conflict` when the branch is not at `expected` (or is ahead of `commit`), `Refused` when the remote's
        rules say no, `Unavailable` when the remote is away.
        """
        target = self._named_remote(remote)
        tracking = f"refs/remotes/{self._tracking(target)}/{branch}" if target else None
        if expected is not None and not self._reaches(expected, commit):
            raise WrongUse(f"{commit} does not build on {expected}", now="commit on the branch's head")
        push_commit(self.root, commit, branch, target=target, tracking=tracking, expected=expected)

    def push_aside(self, commit: str, branch: str) -> None:
        """Puts a branch other than the base at `commit`, wherever it was before.

        Raises `Refused` when the remote's rules say no, `Unavailable` when it is away.
        """
        target = self._named_remote(None)
        known = self.branch_head(branch)
        if target is None:
            self._git.references.create(f"refs/heads/{branch}", commit, force=True)
            return
        tracking = f"refs/remotes/{self._tracking(target)}/{branch}"
        push_commit(self.root, commit, branch, target=target, tracking=tracking, expected=known, forced=True)

    def has_remote(self) -> bool:
        """Whether there is a remote to fetch from and push to."""
        return self._named_remote(None) is not None

    def base_head(self, branch: str) -> str:
        """The head of `branch` as last fetched, or of the local branch where there is no remote.

        Raises `Unavailable` if it is not known here.
        """
        remote = self._named_remote(None)
        name = f"refs/remotes/{self._tracking(remote)}/{branch}" if remote else f"refs/heads/{branch}"
        try:
            return self.resolve(name)
        except NotFound:
            now = f"`git fetch {remote}`" if remote else f"`git branch {branch}`, or set base_branch in [tool.penstock]"
            raise Unavailable(f"branch {branch!r} is not known here", where=name, now=now) from None

    def current_branch(self) -> str | None:
        """The branch that is checked out, None on a detached head."""
        try:
            head = self._git.lookup_reference("HEAD").target
        except KeyError:
            return None
        return str(head).removeprefix("refs/heads/") if str(head).startswith("refs/heads/") else None

    def _find_prefix(self) -> str:
        workdir = self._git.workdir
        if workdir is None:
            return ""
        inside = self.root.relative_to(Path(workdir).resolve()).as_posix()
        return "" if inside == "." else f"{inside}/"

    def _commit(self, rev: str) -> Any:
        try:
            return self._git[rev if len(rev) == FULL_ID else self.resolve(rev)]
        except (KeyError, ValueError):
            raise NotFound(f"no commit {rev!r}", where=str(self.root), now="`git fetch`") from None

    def _at(self, commit: Any, path: str) -> Any | None:
        place = (self._prefix + path).rstrip("/")
        try:
            return commit.tree[place] if place else commit.tree
        except KeyError:
            return None

    def _walk(self, since: str | None, until: str) -> Any:
        walker = self._git.walk(self.resolve(until), SortMode.TOPOLOGICAL | SortMode.TIME)
        if since is not None:
            walker.hide(self.resolve(since))
        return walker

    def _changed(self, commit: Any, path: str) -> bool:
        here = self._place_id(commit, path)
        try:
            parents = commit.parents
        except (KeyError, pygit2.GitError):  # beyond the edge of a shallow clone
            parents = []
        return here is not None if not parents else all(self._place_id(parent, path) != here for parent in parents)

    def _place_id(self, commit: Any, path: str) -> tuple[Any, int] | None:
        found = self._at(commit, path)
        return (found.id, int(found.filemode or 0)) if found is not None else None

    def _reaches(self, a: str, b: str) -> bool:
        try:
            return a == b or bool(self._git.descendant_of(b, a))
        except (KeyError, ValueError, pygit2.GitError):
            return False

    def _shallow(self, a: str, b: str) -> Unavailable:
        return Unavailable(
            f"this clone is shallow: the history between {a[:12]} and {b[:12]} is not here",
            where=str(self.root),
            now="`git fetch --unshallow` (in GitLab CI: GIT_DEPTH: 0)",
        )

    def _remotes(self) -> dict[str, str]:
        config = self._git.config
        names = [entry.name for entry in config if entry.name.startswith("remote.") and entry.name.endswith(".url")]
        return {name[len("remote.") : -len(".url")]: config[name] for name in names}

    def _named_remote(self, remote: str | None) -> str | None:
        wanted, known = remote or self.remote, self._remotes()
        if wanted in known:
            return wanted
        by_url = next((name for name, url in known.items() if url == wanted), None)
        if by_url is not None:
            return by_url
        return wanted if wanted != REMOTE else None

    def _tracking(self, remote: str | None) -> str:
        return remote if remote is not None and remote in self._remotes() else "registry"


def _side(file: Any) -> FileAt | None:
    if not int(file.mode):
        return None
    return FileAt(file.path, f"{int(file.mode):06o}", str(file.id))
