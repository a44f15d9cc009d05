"""What the fake remembers: one project, its people, merge requests, statuses, environments and webhooks."""

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from penstock.testing.gitlab.ask import Json, not_found
from penstock.testing.gitlab.bare import BareRepository
from penstock.testing.gitlab.outbox import Outbox

# READ stands for "may see code and merge requests": everyone but in a private project, where it takes a reporter.
READ, GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER = 1, 10, 20, 30, 40, 50
MergeMethod = Literal["merge", "rebase_merge", "ff"]
SquashOption = Literal["never", "always", "default_on", "default_off"]
Visibility = Literal["private", "internal", "public"]


@dataclass
class User:
    """A person or a bot. `public_email` is what others see, `email` what only the user itself does."""

    id: int
    username: str
    name: str
    email: str
    public_email: str = ""
    bot: bool = False
    state: str = "active"


@dataclass
class Token:
    """A token of a user: a personal one, a project's, or a job's (which writes no notes, statuses or approvals)."""

    value: str
    user: User
    scopes: frozenset[str] = frozenset({"api"})
    job: bool = False
    revoked: bool = False
    expires_at: datetime | None = None


@dataclass
class Protection:
    """Who may push to and merge into a branch: an access level, or users by name beside it."""

    push_level: int = MAINTAINER
    merge_level: int = MAINTAINER
    push_users: set[str] = field(default_factory=set)
    merge_users: set[str] = field(default_factory=set)
    allow_force_push: bool = False


@dataclass
class ProjectSettings:
    """The project's settings, GitLab's defaults of the free tier; tests change them in place.

    `checking_reads` is how many reads of a merge request show `checking` after its head moved. `author_may_approve`
    is true on the free tier. `protected` has branch names or patterns with `*`.
    """

    path: str = "shop/agents"
    id: int = 15
    default_branch: str = "main"
    visibility: Visibility = "private"
    merge_method: MergeMethod = "merge"
    squash_option: SquashOption = "default_off"
    reset_approvals_on_push: bool = False
    author_may_approve: bool = True
    approvals_required: int = 0
    needs_pipeline: bool = False
    needs_resolved_discussions: bool = False
    remove_source_branch: bool = False
    checking_reads: int = 0
    protected: dict[str, Protection] = field(default_factory=lambda: {"main": Protection()})


@dataclass
class Note:
    """A comment; `system` ones tell what happened. Awards are (id, name, user, instant)."""

    id: int
    body: str
    author: User
    created_at: datetime
    updated_at: datetime
    system: bool = False
    type: str | None = None
    position: Json | None = None
    internal: bool = False
    resolvable: bool = False
    resolved_by: User | None = None
    resolved_at: datetime | None = None
    awards: list["Award"] = field(default_factory=list)


@dataclass(frozen=True)
class Award:
    """One user's emoji under a note."""

    id: int
    name: str
    user: User
    created_at: datetime


@dataclass
class Discussion:
    """A thread of notes; a single comment is an individual one, which cannot be resolved."""

    id: str
    individual: bool
    notes: list[Note]

    @property
    def resolvable(self) -> bool:
        """Whether any of its notes can be resolved."""
        return any(note.resolvable for note in self.notes)

    @property
    def resolved(self) -> bool:
        """Whether everything that can be resolved is."""
        return self.resolvable and all(note.resolved_by for note in self.notes if note.resolvable)


@dataclass(frozen=True)
class Version:
    """A diff version of a merge request: which head was compared with which base."""

    id: int
    head: str
    base: str
    start: str
    created_at: datetime


@dataclass
class MergeRequest:
    """A merge request; `versions` is oldest first, its last one is the head that would be merged."""

    id: int
    iid: int
    title: str
    description: str
    source_branch: str
    target_branch: str
    author: User
    created_at: datetime
    updated_at: datetime
    state: str = "opened"
    labels: list[str] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    reviewers: list[User] = field(default_factory=list)
    discussions: list[Discussion] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    approvals: list[tuple[User, datetime]] = field(default_factory=list)
    squash: bool = False
    remove_source_branch: bool = False
    merge_user: User | None = None
    merged_at: datetime | None = None
    closed_by: User | None = None
    closed_at: datetime | None = None
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    reads_to_check: int = 0

    @property
    def head(self) -> str:
        """The head of the newest version, "" before the first."""
        return self.versions[-1].head if self.versions else ""

    @property
    def draft(self) -> bool:
        """Whether its title says so."""
        return self.title.lower().startswith(("draft:", "[draft]", "(draft)"))

    @property
    def notes(self) -> list[Note]:
        """All notes, in the order of their making."""
        return sorted((note for thread in self.discussions for note in thread.notes), key=lambda note: note.id)


@dataclass
class CommitStatus:
    """A status of a commit; a finished one that was posted anew is kept as `retried`."""

    id: int
    sha: str
    ref: str
    name: str
    status: str
    author: User
    pipeline_id: int
    created_at: datetime
    target_url: str | None = None
    description: str | None = None
    coverage: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retried: bool = False
    stage: str = "external"


@dataclass
class Pipeline:
    """A pipeline; an `external` one carries the statuses that were posted to its commit."""

    id: int
    iid: int
    sha: str
    ref: str
    status: str
    source: str
    user: User
    created_at: datetime
    updated_at: datetime
    jobs: list["Job"] = field(default_factory=list)


@dataclass
class Job:
    """A job of a pipeline."""

    id: int
    name: str
    stage: str
    status: str
    created_at: datetime


@dataclass
class Environment:
    """Where something is deployed to."""

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    external_url: str | None = None
    tier: str = "other"
    state: str = "available"
    description: str | None = None


@dataclass
class Deployment:
    """A deployment of a commit to an environment."""

    id: int
    iid: int
    ref: str
    sha: str
    status: str
    tag: bool
    environment: Environment
    user: User
    created_at: datetime
    updated_at: datetime


class GitlabState:
    """Everything behind the API; whoever reads or writes it holds the fake's lock."""

    def __init__(self, settings: ProjectSettings, repository: BareRepository, clock: Callable[[], datetime]) -> None:
        self.settings = settings
        self.repository = repository
        self.url = ""
        self.users: dict[int, User] = {}
        self.members: dict[int, int] = {}
        self.tokens: dict[str, Token] = {}
        self.merge_requests: dict[int, MergeRequest] = {}
        self.statuses: list[CommitStatus] = []
        self.pipelines: list[Pipeline] = []
        self.environments: list[Environment] = []
        self.deployments: list[Deployment] = []
        self.outbox = Outbox()
        self.heads: dict[str, str] = repository.heads()
        self.created_at = clock()
        self._clock = clock
        self.iids = itertools.count(1)
        self._ids = itertools.count(101)
        self.administrator = self.add_user("root", "Administrator", "admin@example.com")

    def now(self) -> datetime:
        """The instant of the fake's clock, in UTC."""
        return self._clock().astimezone(UTC)

    def next_id(self) -> int:
        """A number that was not given before, larger than all before."""
        return next(self._ids)

    def add_user(self, username: str, name: str, email: str) -> User:
        """A user who is member of nothing, with a token."""
        user = User(len(self.users) + 1, username, name, email)
        self.users[user.id] = user
        self.add_token(user)
        return user

    def add_token(
        self, user: User, scopes: frozenset[str] = frozenset({"api", "write_repository"}), *, job: bool = False
    ) -> Token:
        """A further token of a user."""
        prefix = "glcbt" if job else "glpat"
        token = Token(f"{prefix}-{user.username}-{secrets.token_hex(8)}", user, scopes, job)
        self.tokens[token.value] = token
        return token

    def user_named(self, username: str) -> User:
        """The user of that name; raises `KeyError`."""
        for user in self.users.values():
            if user.username == username:
                return user
        raise KeyError(username)

    def level_of(self, user: User) -> int:
        """The user's access level to the project, 0 for none."""
        return OWNER if user is self.administrator else self.members.get(user.id, 0)

    def merge_request(self, iid: int) -> MergeRequest:
        """The merge request of that number; raises `Refusal` (404)."""
        if iid not in self.merge_requests:
            raise not_found()
        return self.merge_requests[iid]

    @property
    def project_url(self) -> str:
        """The project's page."""
        return f"{self.url}/{self.settings.path}"
