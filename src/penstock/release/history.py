"""The commits of one stages file, as far as they can be trusted: each must follow from the one before it."""

from dataclasses import dataclass, field

from penstock.contracts.stages import StagesSpec
from penstock.errors import Conflict, Invalid, NotFound
from penstock.registry.commit import Commit
from penstock.registry.git import Repository
from penstock.release.judge import Judge
from penstock.release.move import Move
from penstock.release.stages_file import read_stages, stages_path


class Behind(Conflict):
    """The table in force was made from a commit that is not fetched here yet: somebody else was quicker."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A commit of a stages file that is not published, and one sentence why."""

    agent: str
    commit: str
    author: str
    why: str

    def __str__(self) -> str:
        changed = f"{stages_path(self.agent)} was changed by commit {self.commit[:12]} ({self.author})"
        return f"{changed}, which does not resolve: {self.why}"


@dataclass(slots=True)
class History:
    """Where a walk from the last published commit of a stages file ends.

    `commit` is the newest one that resolves (None: there is none yet), `spec` what the file says there, `overlays`
    the urgent changes written down on the way. `unresolved` are the commits after it that do not.
    """

    agent: str
    commit: str | None
    spec: StagesSpec
    blob: str | None
    overlays: set[str] = field(default_factory=set)
    unresolved: list[Unresolved] = field(default_factory=list)


def require_fetched(repository: Repository, commit: str | None) -> None:
    """Raises `Behind` for a commit that the clone lacks; None is no commit."""
    try:
        if commit is not None:
            repository.commit(commit)
    except NotFound:
        raise Behind(
            f"the routing table in force was made from commit {commit[:12] if commit else ''}, which is not here yet",
            where=str(repository.root),
            now="`git fetch`, then again; if the branch was rewritten, push the lost commits back",
        ) from None


def unwalked_history(repository: Repository, agent: str, start: str | None) -> History:
    """What a stages file says at a commit that is trusted; None: nothing stands anywhere."""
    path = stages_path(agent)
    data = repository.read(start, path) if start is not None else None
    blob = repository.blob_id(start, path) if start is not None else None
    return History(agent, start, read_stages(data, path), blob)


def walk_history(repository: Repository, judge: Judge, agent: str, start: str | None, head: str) -> History:
    """Follows a stages file from `start`, a commit whose file is trusted (None: from nothing), to `head`.

    A commit that does not resolve ends the walk: what is built on it is not trusted either, until a commit brings
    back the bytes of the last trusted one. Raises `Unavailable`.
    """
    path = stages_path(agent)
    found = unwalked_history(repository, agent, start)
    for commit in reversed(repository.commits(path, start, head)):
        blob = repository.blob_id(commit.id, path)
        if blob == found.blob:
            found.commit, found.unresolved = commit.id, []
        else:
            _follow(repository, judge, found, commit, blob)
    if not found.unresolved and _is_left_out(repository, found, start, head):
        by = repository.commit(head).author_email
        why = "no commit made what the file says there: a merge took another side"
        found.unresolved.append(Unresolved(agent, head, by, why))
    return found


def _is_left_out(repository: Repository, found: History, start: str | None, head: str) -> bool:
    """Whether the file at `head` is another than its commits made; a head from before `start` is only behind."""
    if repository.blob_id(head, stages_path(found.agent)) == found.blob:
        return False
    return start is None or repository.is_ancestor(start, head)


def _follow(repository: Repository, judge: Judge, found: History, commit: Commit, blob: str | None) -> None:
    path = stages_path(found.agent)
    parent = repository.blob_id(commit.parents[0], path) if commit.parents else None
    try:
        after = read_stages(repository.read(commit.id, path), f"{commit.id[:12]}:{path}")
        if found.unresolved or parent != found.blob:
            why: str | None = "it builds on a state that does not resolve"
        else:
            why = _spent(repository, found, commit) or judge.why_not(found.agent, commit, found.spec, after)
    except Invalid as error:
        after, why = found.spec, error.what
    if why is not None:
        found.unresolved.append(Unresolved(found.agent, commit.id, commit.author_email, why))
        return
    found.commit, found.spec, found.blob = commit.id, after, blob
    move = Move.of(commit, found.agent)
    if move is not None and move.overlay:
        found.overlays.add(move.overlay)


def _spent(repository: Repository, found: History, commit: Commit) -> str | None:
    """What is logged is one act: why the commit's urgent change or override is used up; None if it is not."""
    move = Move.of(commit, found.agent)
    if move is None or found.commit is None:
        return None
    if move.overlay in found.overlays:
        return f"overlay {move.overlay} is written down already"
    if not move.override:
        return None
    for earlier in repository.commits(stages_path(found.agent), None, found.commit):
        known = Move.of(earlier, found.agent)
        if known is not None and known.override == move.override:
            return f"override {move.override} was used by commit {earlier.id[:12]}"
    return None
