"""The REST API: from a request to its answer, with the faults in between."""

import threading
from collections.abc import Callable

from penstock.testing.gitlab import (  # noqa: F401  each registers its routes
    approval_routes,
    commit_routes,
    discussion_routes,
    environment_routes,
    hook_routes,
    merge_request_routes,
    note_routes,
    pipeline_routes,
    project_routes,
    status_routes,
)
from penstock.testing.gitlab.access import require_access, token_of
from penstock.testing.gitlab.ask import Answer, Ask, Json, Refusal, Request, refuse
from penstock.testing.gitlab.call import Call
from penstock.testing.gitlab.fault import Fault, FaultList, error_answer
from penstock.testing.gitlab.push import take_in
from penstock.testing.gitlab.routes import find
from penstock.testing.gitlab.state import GitlabState


class Api:
    """Answers requests one after the other, and remembers them in `calls`."""

    def __init__(self, state: GitlabState, lock: threading.RLock, settled: Callable[[], None]) -> None:
        self.calls: list[Call] = []
        self.faults = FaultList()
        self.crashes: list[Exception] = []
        self.closing = threading.Event()
        self._state = state
        self._lock = lock
        self._settled = settled

    def answer(self, request: Request) -> Answer | None:
        """The answer; None where the connection is to be closed without one."""
        with self._lock:
            faults = self.faults.take(request)
        for fault in faults:
            if fault.action is not None:
                fault.action()
        wrong = next((fault for fault in faults if fault.kind != "before"), None)
        if wrong is not None and wrong.kind == "stall":
            self.closing.wait(wrong.seconds)
        answer, username = self._answer(request, wrong)
        closed = wrong is not None and wrong.kind in {"drop", "lost-answer", "stall"}
        kind = "" if wrong is None else wrong.kind
        call = Call(
            request, 0 if closed else answer.status, answer.headers, None if closed else answer.body, kind, username
        )
        with self._lock:
            self.calls.append(call)
        self._settled()
        return None if closed else answer

    def _answer(self, request: Request, wrong: Fault | None) -> tuple[Answer, str]:
        if wrong is not None and wrong.answer is not None:
            return wrong.answer, ""
        if wrong is not None and wrong.kind in {"drop", "stall"}:
            return Answer(0), ""
        with self._lock:
            take_in(self._state, self._state.administrator)
            try:
                token = token_of(self._state, request)
            except Refusal as refusal:
                return refusal.answer, ""
            username = token.user.username if token is not None else ""
            try:
                return self._work(Ask(self._state, request, {}, token, {}, wrong.shift if wrong else 0)), username
            except Refusal as refusal:
                return refusal.answer, username
            except Exception as crash:  # the fake's own fault: told to the client now, to the test at the end
                self.crashes.append(crash)
                return error_answer(500), username

    def _work(self, ask: Ask) -> Answer:
        entry, parts, known = find(ask.request.method, ask.request.path)
        if entry is None:
            what = f"{ask.request.method} of {ask.request.path}" if known else ask.request.path
            raise refuse(501, f"the fake does not know {what}")  # GitLab may well know it: a 404 would mislead
        ask.parts = parts
        require_access(ask, entry)
        ask.parameters = _parameters(ask.request)
        unheeded = sorted(set(ask.parameters) - entry.takes)
        if unheeded:  # GitLab may heed them: to leave them out of account would mislead
            raise refuse(501, f"the fake does not know {', '.join(unheeded)} of {ask.request.path}")
        return entry.work(ask)


def _parameters(request: Request) -> Json:
    """Query and body as one: a value of the body wins; `name[]` and a name that repeats are lists."""
    found: Json = {}
    for name, values in request.query.items():
        if name.endswith("[]"):
            found[name.removesuffix("[]")] = list(values)
        else:
            found[name] = values[-1]
    body = request.body
    if isinstance(body, dict):
        found |= body
    return found
