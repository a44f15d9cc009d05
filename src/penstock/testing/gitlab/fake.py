"""The fake GitLab: a server on loopback over a real bare repository, and the handle by which tests steer it."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from penstock.testing.gitlab.api import Api
from penstock.testing.gitlab.ask import Answer, Refusal, Request
from penstock.testing.gitlab.bare import BareRepository
from penstock.testing.gitlab.call import Call
from penstock.testing.gitlab.courier import Courier
from penstock.testing.gitlab.fault import Fault, error_answer
from penstock.testing.gitlab.git_server import GitServer, is_push
from penstock.testing.gitlab.listener import Listener, Raw
from penstock.testing.gitlab.merge_request_routes import open_merge_request
from penstock.testing.gitlab.outbox import SWITCHES, Delivery, Hook
from penstock.testing.gitlab.push import take_in
from penstock.testing.gitlab.state import (
    DEVELOPER,
    GitlabState,
    Job,
    MergeRequest,
    Pipeline,
    ProjectSettings,
    Token,
    User,
)
from penstock.testing.gitlab.webhook import announce_merge_request, announce_pipeline

_API = "/api/v4"


def _now() -> datetime:
    return datetime.now(UTC)


class GitlabFake:
    """A GitLab with one project over the bare repository at `repository`; a context manager.

    `settings` may be changed at any time. `clock` gives the instants that GitLab writes down. Webhooks wait until
    `deliver()` is called, or go out at once, by a thread, with `deliver_at_once`. While `away` is true every connection
    is closed without an answer, as of a GitLab that is down. Only the loopback interface is listened on; nothing is
    left behind at the end but what is in the repository. Leaving it raises an `ExceptionGroup` of what went wrong in
    the fake itself, for which clients saw 500.
    """

    def __init__(
        self,
        repository: Path,
        settings: ProjectSettings | None = None,
        *,
        clock: Callable[[], datetime] = _now,
        deliver_at_once: bool = False,
    ) -> None:
        self.settings = settings or ProjectSettings()
        self.away = False
        self.lock = threading.RLock()
        self._bare = BareRepository(repository)
        self.state = GitlabState(self.settings, self._bare, clock)
        self._git = GitServer(repository)
        self._courier = Courier(self.state.outbox, self.lock, at_once=deliver_at_once)
        self._api = Api(self.state, self.lock, self._courier.wake)
        self._listener = Listener(self._work)
        self.state.url = self._listener.url

    def __enter__(self) -> "GitlabFake":
        self._git.install()
        self._courier.start(self.url)
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._api.closing.set()
        self._listener.stop()
        self._courier.stop()
        self._git.remove()
        self._bare.close()
        if self._api.crashes and kind is None:
            raise ExceptionGroup("the fake itself failed", self._api.crashes)

    @property
    def url(self) -> str:
        """The address of the GitLab, without `/api/v4`."""
        return self.state.url

    @property
    def project(self) -> str:
        """The project's path, as `shop/agents`."""
        return self.settings.path

    @property
    def project_id(self) -> int:
        """The project's number."""
        return self.settings.id

    @property
    def calls(self) -> list[Call]:
        """Every call of the API so far, the oldest first."""
        with self.lock:
            return list(self._api.calls)

    def git_url(self, username: str) -> str:
        """The address to clone and push by, with the user's token in it."""
        return f"{self.url.replace('http://', f'http://{username}:{self.token_of(username)}@')}/{self.project}.git"

    # People

    def add_user(
        self,
        username: str,
        *,
        name: str = "",
        email: str = "",
        public_email: str = "",
        access_level: int | None = DEVELOPER,
        bot: bool = False,
    ) -> User:
        """A user; `access_level`: 10 guest, 20 reporter, 30 developer, 40 maintainer, 50 owner, None no member."""
        with self.lock:
            user = self.state.add_user(username, name or username.capitalize(), email or f"{username}@example.org")
            user.public_email, user.bot = public_email, bot
            if access_level is not None:
                self.state.members[user.id] = access_level
            return user

    def set_access(self, username: str, access_level: int | None) -> None:
        """Another access level for a user, None for no member."""
        with self.lock:
            user = self.state.user_named(username)
            self.state.members.pop(user.id, None)
            if access_level is not None:
                self.state.members[user.id] = access_level

    def token_of(self, username: str) -> str:
        """A personal or project token of the user, good for the API and for Git."""
        with self.lock:
            return next(
                one.value for one in self.state.tokens.values() if one.user.username == username and not one.job
            )

    def add_token(self, username: str, *scopes: str, expires_at: datetime | None = None) -> Token:
        """A further token with only these scopes (`api`, `read_api`, `read_repository`, `write_repository`)."""
        with self.lock:
            token = self.state.add_token(self.state.user_named(username), frozenset(scopes or {"api"}))
            token.expires_at = expires_at
            return token

    def job_token(self, username: str) -> str:
        """A job's token (CI_JOB_TOKEN) of the user: it writes no notes, statuses or approvals."""
        with self.lock:
            return self.state.add_token(self.state.user_named(username), job=True).value

    # The repository

    def commit(
        self,
        branch: str,
        files: Mapping[str, str | bytes | None],
        message: str = "Change",
        *,
        by: str = "root",
        start: str = "",
    ) -> str:
        """Commits files (None removes one) to a branch, as by the web editor; returns the commit.

        A branch that does not exist begins at `start`, or at the default branch. Protection is not looked at.
        """
        with self.lock:
            take_in(self.state, self.state.administrator)
            user = self.state.user_named(by)
            parent = self.state.heads.get(branch) or self.state.heads[start or self.settings.default_branch]
            made = self._bare.write(parent, files, message, (user.name, user.email), self.state.now())
            self._bare.set_branch(branch, made)
            take_in(self.state, user)
        self._courier.wake()
        return made

    def head(self, branch: str) -> str:
        """The commit that a branch points to; raises `KeyError`."""
        with self.lock:
            take_in(self.state, self.state.administrator)
            return self.state.heads[branch]

    # Merge requests and pipelines, as people and runners make them

    def open_merge_request(
        self, source: str, *, target: str = "", title: str = "", description: str = "", by: str = "root"
    ) -> MergeRequest:
        """Opens a merge request, as by the page of the branch."""
        with self.lock:
            take_in(self.state, self.state.administrator)
            user, into = self.state.user_named(by), target or self.settings.default_branch
            made = open_merge_request(self.state, user, (source, into), title=title or source, description=description)
            announce_merge_request(self.state, made, user, "open")
        self._courier.wake()
        return made

    def merge_request(self, iid: int) -> MergeRequest:
        """The fake's own record of a merge request."""
        with self.lock:
            return self.state.merge_request(iid)

    def add_pipeline(
        self,
        sha: str,
        ref: str,
        *,
        status: str = "running",
        source: str = "push",
        jobs: Mapping[str, str] | None = None,
    ) -> Pipeline:
        """A pipeline that runs for a commit; `jobs` maps names to stages."""
        with self.lock:
            now, state = self.state.now(), self.state
            made = Pipeline(
                state.next_id(), len(state.pipelines) + 1, sha, ref, status, source, state.administrator, now, now
            )
            made.jobs = [Job(state.next_id(), name, stage, status, now) for name, stage in (jobs or {}).items()]
            state.pipelines.append(made)
            announce_pipeline(state, made)
        self._courier.wake()
        return made

    def finish_pipeline(self, pipeline: Pipeline, status: str) -> None:
        """Ends a pipeline and its jobs with that status."""
        with self.lock:
            pipeline.status, pipeline.updated_at = status, self.state.now()
            for job in pipeline.jobs:
                job.status = status
            announce_pipeline(self.state, pipeline)
        self._courier.wake()

    # Webhooks

    @property
    def lose_webhooks(self) -> bool:
        """While true, events are recorded as lost and never sent."""
        return self._courier.losing

    @lose_webhooks.setter
    def lose_webhooks(self, losing: bool) -> None:
        self._courier.losing = losing

    @property
    def deliveries(self) -> list[Delivery]:
        """What was sent, or lost, so far."""
        with self.lock:
            return list(self.state.outbox.sent)

    def add_webhook(self, url: str, *, token: str = "", signing_token: str = "", **switches: bool) -> Hook:
        """A webhook of all kinds of events, less those switched off (`push_events=False`)."""
        with self.lock:
            every = dict.fromkeys(SWITCHES.values(), True)
            hook = Hook(self.state.next_id(), url, self.state.now(), token, signing_token, every | switches)
            self.state.outbox.hooks.append(hook)
            return hook

    def deliver(self) -> list[Delivery]:
        """Sends what waits, in order, and returns once every receiver has answered, with what was sent now."""
        with self.lock:
            take_in(self.state, self.state.administrator)
        return self._courier.deliver()

    def resend(self, delivery: Delivery) -> Delivery:
        """Sends an event once more, under the same idempotency key, as GitLab's button does."""
        return self._courier.resend(delivery)

    # Faults

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        *,
        times: int = 1,
        message: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answers the next `times` calls of `method` whose path (without `/api/v4`) has the pattern with an error."""
        self._fault(Fault("answer", method, path, times, answer=error_answer(status, message, headers)))

    def drop(self, method: str, path: str, *, times: int = 1, done: bool = False) -> None:
        """Closes the connection without an answer; with `done` the work is done before."""
        self._fault(Fault("lost-answer" if done else "drop", method, path, times))

    def stall(self, method: str, path: str, *, times: int = 1, seconds: float = 30.0) -> None:
        """Gives no answer for that long (or until the fake ends), then closes the connection."""
        self._fault(Fault("stall", method, path, times, seconds=seconds))

    def shift_pages(self, path: str, by: int, *, times: int = 1) -> None:
        """Moves what stands on the later pages of a list: 1 repeats an item of the page before, -1 misses one."""
        self._fault(Fault("shift", "GET", path, times, shift=by))

    def before(self, method: str, path: str, action: Callable[[], object], *, times: int = 1) -> None:
        """Does something before a call is worked on: a push between the reading of a head and the merge."""
        self._fault(Fault("before", method, path, times, action=action))

    def _fault(self, fault: Fault) -> None:
        with self.lock:
            self._api.faults.waiting.append(fault)

    # Answers, by the API and by Git

    def answer(self, request: Request) -> Answer | None:
        """Answers a request of the API (its path without `/api/v4`) past the network; None for a dropped connection."""
        return self._api.answer(request)

    def _work(self, request: Request) -> Answer | Raw | None:
        if self.away:
            return None
        if request.path.startswith(f"{_API}/"):
            return self._api.answer(
                Request(request.method, request.path.removeprefix(_API), request.query, request.headers, request.data)
            )
        prefix = f"/{self.project}.git/"
        if request.path.startswith(prefix):
            return self._git_answer(request, request.path.removeprefix(prefix))
        return Answer(404, {"error": "404 Not Found"})

    def _git_answer(self, request: Request, service_path: str) -> Answer | Raw:
        with self.lock:
            take_in(self.state, self.state.administrator)
            user, refusal = self._git.allowed(self.state, request)
            if refusal is not None or user is None:
                return refusal or Answer(401)
            if is_push(request):
                answer: Raw | None = self._git.answer(self.state, request, user, service_path)
                self._pushed(user, self._git.push_options())
            else:
                answer = None
        if answer is None:
            answer = self._git.answer(self.state, request, user, service_path)
        self._courier.wake()
        return answer

    def _pushed(self, user: User, options: list[str]) -> None:
        moved = take_in(self.state, user)
        values = dict(option.partition("=")[::2] for option in options)
        if "merge_request.create" not in values:
            return
        target = values.get("merge_request.target", self.settings.default_branch)
        for branch in moved:
            title, about = values.get("merge_request.title") or branch, values.get("merge_request.description", "")
            try:
                made = open_merge_request(self.state, user, (branch, target), title=title, description=about)
            except Refusal:
                continue  # the push stands; GitLab tells of the merge request that it did not make in the push's output
            announce_merge_request(self.state, made, user, "open")
