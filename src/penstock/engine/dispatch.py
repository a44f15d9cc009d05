"""Dispatcher: from a caller's request to a run: session, route, release, engine."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from penstock.contracts.canonical import canonical
from penstock.contracts.release import Release
from penstock.engine.call import RunCall, new_trace_id
from penstock.engine.degraded import degraded_before
from penstock.engine.engine import Engine, RunHandle
from penstock.engine.lease import RunLease
from penstock.engine.run import BeforeAnswer
from penstock.engine.trace_context import TraceParent
from penstock.errors import Fault, PenstockError, Refused, Unavailable
from penstock.pal import Message
from penstock.routing import Caller, Route, RoutingTable
from penstock.store.sessions import SessionStore
from penstock.store.threads import in_database_thread

_KEPT = 256
CANCELLED = "by request"


class Releases(Protocol):
    """Where the releases that a table names are held (`routing.release_cache.ReleaseCache`)."""

    def release(self, digest: str) -> Release:
        """The release, the same object each time; raises `NotFound` or `Unavailable`."""
        ...

    def blob(self, digest: str) -> bytes:
        """A blob's bytes; raises `NotFound` or `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a queued run goes on: its trace, the history that it began with, and its new lease."""

    trace_id: str
    parent_span_id: str | None
    history: tuple[Message, ...]
    lease: RunLease


class Dispatcher:
    """Starts the runs that callers ask for.

    `table` gives the routing table in force, None while there is none; `sessions` is None while the database is away,
    and may be set later. A session's first run pins it to the release that answers it, before the answer; runs of one
    session may overlap, and each sees the history of those that were answered before it started.
    """

    def __init__(
        self,
        engine: Engine,
        table: Callable[[], RoutingTable | None],
        releases: Releases,
        sessions: SessionStore | None,
        default_runtime: str,
    ) -> None:
        self.engine = engine
        self._table = table
        self._releases = releases
        self.sessions = sessions
        self._default_runtime = default_runtime
        self._kept: dict[str, tuple[Release, bytes]] = {}

    async def submit(
        self,
        agent: str,
        run_input: Any,
        caller: Caller,
        *,
        mode: Literal["live", "dry"] = "live",
        stream: bool = False,
        parent: TraceParent | None = None,
        lease: RunLease | None = None,
    ) -> RunHandle:
        """Starts a run for `caller`, under `caller.run_id`; `parent` is the caller's (trace id, span id).

        A queued run has a `lease`.

        Raises `NotFound` for what the table does not know and `Unavailable` for what a run needs and is away. A frozen
        or disabled agent gives a rejected run, which is on record.
        """
        table = self._table()
        if table is None:
            raise Unavailable("there is no routing table yet", now="`agentctl promote` makes the first; see /readyz")
        session = _Session(self._require_sessions(), caller, agent) if caller.session is not None else None
        pinned = await session.pinned() if session is not None else None
        try:
            route = table.select(agent, caller, pinned)
        except Refused as refusal:
            call = self._last_call(table, agent, run_input, caller, refusal)
            return self._reject(call, refusal, parent, lease)
        release, body = self._ready(route)
        runtime = self.engine.runtimes.choose(release, route.runtime, self._default_runtime)
        trace_id, parent_span_id = parent or (new_trace_id(), None)
        call = _call(
            route,
            release,
            body,
            run_input,
            caller,
            runtime=runtime.declaration.metadata.name,
            mode=mode,
            trace_id=trace_id,
            parent_span_id=parent_span_id,
            stream=stream,
            lease=lease,
            is_batch=lease is not None and lease.is_batch,
        )
        if session is None:
            return self.engine.start(call)
        return await self._start_in(session, call, route, moves=pinned != route.release and not caller.is_explicit)

    async def go_on(self, route: Route, run_input: Any, caller: Caller, trail: Trail) -> RunHandle:
        """Goes on with a queued run where its last attempt stopped: the same release, runtime and history."""
        call = await self._call_again(route, run_input, caller, trail)
        session = _Session(self._require_sessions(), caller, route.agent) if caller.session is not None else None
        keeps = session is not None and _is_conversational(call.release)
        before_answer = session.keeps(run_input, trail.lease) if session is not None and keeps else None
        return self.engine.start(call, before_answer)

    async def withdraw(
        self, agent: str, run_input: Any, caller: Caller, lease: RunLease, known: tuple[Route, Trail] | None
    ) -> RunHandle:
        """Ends a queued run as cancelled: on its own release if one is `known`, else on the one it would have got."""
        if known is not None:
            return self.engine.withdraw(await self._call_again(known[0], run_input, caller, known[1]), CANCELLED)
        table = self._table()
        if table is None:
            raise Unavailable("there is no routing table yet", where=agent)
        call = self._last_call(table, agent, run_input, caller, Refused(f"nothing of {agent} answers", where=agent))
        return self.engine.withdraw(replace(call, lease=lease), CANCELLED)

    def input_faults(self, agent: str, caller: Caller) -> Callable[[Any], list[Fault]]:
        """What the release that would answer `caller` now has against inputs; raises as `submit` does.

        A queued run may meet another release later, and is checked again then.
        """
        table = self._table()
        if table is None:
            raise Unavailable("there is no routing table yet", now="`agentctl promote` makes the first; see /readyz")
        release, body = self._ready(table.select(agent, caller))
        return lambda run_input: self.engine.input_faults(release, body, run_input)

    async def _call_again(self, route: Route, run_input: Any, caller: Caller, trail: Trail) -> RunCall:
        release, body = await asyncio.to_thread(self._ready, route)
        return _call(
            route,
            release,
            body,
            run_input,
            caller,
            trace_id=trail.trace_id,
            parent_span_id=trail.parent_span_id,
            history=trail.history,
            lease=trail.lease,
            is_batch=trail.lease.is_batch,
            degraded=degraded_before(trail.lease.past.events) if trail.lease.past is not None else None,
        )

    async def _start_in(self, session: "_Session", call: RunCall, route: Route, *, moves: bool) -> RunHandle:
        """Starts the run in its session; a dry run reads the session and leaves no trace in it."""
        before_answer = None
        if _is_conversational(call.release):
            call = replace(call, history=await session.history())
            before_answer = session.keeps(call.input, call.lease)
        if call.mode == "dry":
            return self.engine.start(call)
        if moves:
            await session.pin(route)
        return self.engine.start(call, before_answer)

    def _ready(self, route: Route) -> tuple[Release, bytes]:
        """The route's release and its prompt's body; read once, since a digest never means anything else."""
        ready = self._kept.get(route.release)
        if ready is None:
            release = self._releases.release(route.release)
            ready = (release, self._releases.blob(release.prompt.body))
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[route.release] = ready
        return ready

    def _require_sessions(self) -> SessionStore:
        if self.sessions is None:
            raise Unavailable(
                "a run that names a session needs the database, and that is away",
                where="sessionId",
                now="leave out sessionId, or try again once /readyz shows the database",
            )
        return self.sessions

    def _reject(self, call: RunCall, refusal: Refused, parent: TraceParent | None, lease: RunLease | None) -> RunHandle:
        """Puts the refusal on record."""
        if parent is not None:
            call = replace(call, trace_id=parent[0], parent_span_id=parent[1])
        return self.engine.reject(replace(call, lease=lease), refusal)

    def _last_call(self, table: RoutingTable, agent: str, run_input: Any, caller: Caller, refusal: Refused) -> RunCall:
        """The run under the version that would have answered; raises the refusal if there is none."""
        routes = table.record.agents[agent]
        entry = routes.prod or routes.canary or next(iter(routes.dev), None)
        if entry is None:
            raise refusal
        stage = "prod" if entry is routes.prod else "canary" if entry is routes.canary else "dev"
        route = Route(agent, entry.version, entry.release, entry.runtime, stage, "prod", table.generation)
        try:
            release, body = self._ready(route)
        except PenstockError:
            raise refusal from None
        return _call(route, release, body, run_input, caller, routed_by=None)  # nothing was chosen


def _call(route: Route, release: Release, body: bytes, run_input: Any, caller: Caller, **more: Any) -> RunCall:
    """The call as route and caller say it; `more` says what they do not, or otherwise."""
    said: dict[str, Any] = {"runtime": route.runtime, "routed_by": route.reason, "degraded": route.degraded, **more}
    return RunCall(
        release=release,
        prompt_body=body,
        input=run_input,
        stage=route.stage,
        run_id=caller.run_id,
        tenant=caller.tenant,
        user=caller.user,
        session_id=caller.session,
        complexity=caller.complexity,
        uses_cache=caller.uses_cache,
        **said,
    )


class _Session:
    """One caller's session with one agent; the database is asked in threads."""

    def __init__(self, store: SessionStore, caller: Caller, agent: str) -> None:
        assert caller.session is not None
        self._store = store
        self._key = (caller.tenant, agent, caller.session)

    async def pinned(self) -> str | None:
        """The release that the session is on."""
        row = await in_database_thread(self._store.get, *self._key)
        return row.release if row is not None else None

    async def pin(self, route: Route) -> None:
        """Puts the session on the route's release."""
        await in_database_thread(
            self._store.pin, *self._key, release=route.release, version=route.version, stage=route.stage
        )

    async def history(self) -> tuple[Message, ...]:
        """What was said, oldest first."""
        return tuple(await in_database_thread(self._store.history, *self._key))

    def keeps(self, run_input: Any, lease: RunLease | None = None) -> BeforeAnswer:
        """What writes the turn to the history before it is answered; under a lease, together with the run's end."""

        async def write(output: Any) -> None:
            user = {"role": "user", "content": _text(run_input)}
            assistant = {"role": "assistant", "content": _text(output)}
            if lease is not None:
                tenant, agent, session = self._key
                turn = {"tenant": tenant, "agent": agent, "session": session, "messages": [user, assistant]}
                lease.append({"kind": "turn", **turn})
                return
            await in_database_thread(self._store.append, *self._key, user, assistant)

        return write


def _is_conversational(release: Release) -> bool:
    return bool(release.agent.document["spec"]["mode"] == "conversational")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value).decode()
