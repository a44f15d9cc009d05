"""Sessions: the units of live analysis, made of runs as they are stored.

Runs of one session are not independent, sessions are: so each counts once, by what happened in a window after its
first run, and in the order in which it began. Neither its place nor the moment at which it counts depends on how it
went.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock.store.live_sessions import SessionRun, Word
from penstock.store.runs import ANSWERED

WORDS_S = 3_600
"""Users speak later than runs end: their words count so long after the session's window, seconds."""

EXPLICIT = frozenset({"explicit version", "explicit stage"})


@dataclass(frozen=True, slots=True)
class Session:
    """One session on one side: the runs of its window that say something of the release, and users' words on them.

    `started` is in Unix seconds. Who is not `sampled` met the canary by its allow-list, which is no fair sample.
    """

    on_canary: bool
    started: float
    sampled: bool
    runs: tuple[SessionRun, ...]
    ratings: tuple[float, ...]


def sessions_of(
    canary: Iterable[SessionRun], prod: Iterable[SessionRun], words: Iterable[Word], *, began: str, window_s: float
) -> list[Session]:
    """The sessions that began at or after `began` (RFC 3339), in the order in which they did.

    The order of what is given means nothing. Runs that their callers sent to a version or stage are left out, and so
    are sessions that were on their release before: the first run's route says `session` then. A route that is not on
    record counts as sampled. Cancelled and rejected runs say nothing; a session of nothing else is none.
    """
    spoken: defaultdict[str, list[Word]] = defaultdict(list)
    for word in words:
        spoken[word.run_id].append(word)
    grouped: defaultdict[tuple[str, ...], list[tuple[SessionRun, bool]]] = defaultdict(list)
    for runs, on_canary in ((canary, True), (prod, False)):
        for run in runs:
            if run.routed_by not in EXPLICIT and not _is_unrouted(run):
                grouped[_key(run)].append((run, on_canary))
    found = [
        (session.started, key, session)
        for key, runs_of_session in grouped.items()
        for session in _session(runs_of_session, spoken, seconds(began), window_s)
    ]
    return [session for *_, session in sorted(found, key=lambda one: one[:2])]


def seconds(text: str) -> float:
    """Unix seconds of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def _is_unrouted(run: SessionRun) -> bool:
    """Whether it was refused before any route was chosen (a frozen agent), so that it began no session."""
    return run.status == "rejected" and run.routed_by is None


def _key(run: SessionRun) -> tuple[str, ...]:
    """A session's name is its tenant's own; a run without a session stands for itself."""
    return (run.run_id,) if run.session_id is None else (run.tenant, run.session_id)


def _session(
    found: Sequence[tuple[SessionRun, bool]], spoken: dict[str, list[Word]], began: float, window_s: float
) -> Iterator[Session]:
    """The session, if it counts on either side."""
    ordered = sorted(found, key=lambda one: (one[0].started_at, one[0].run_id))
    first, on_canary = ordered[0]
    started = seconds(first.started_at)
    if started < began or first.routed_by == "session":
        return
    judged = tuple(
        run
        for run, side in ordered
        if side == on_canary and run.status in ANSWERED and seconds(run.started_at) < started + window_s
    )
    if not judged:
        return
    heard = started + window_s + WORDS_S
    ratings = tuple(word.rating for run in judged for word in spoken.get(run.run_id, ()) if seconds(word.at) <= heard)
    yield Session(on_canary, started, first.routed_by != "allow-list", judged, ratings)
