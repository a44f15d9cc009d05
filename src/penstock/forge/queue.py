"""Jobs that webhooks bring: bounded, one of a kind at a time for each merge request, the newest for all before it.

A job names only what is to be looked at, never what was said of it: what it does is found from GitLab and Git. So a job
that comes twice, or while the same one waits, is one job; one that comes while the same one runs is done after it.
"""

import logging
import threading
from collections.abc import Callable
from typing import Literal, NamedTuple

from penstock.errors import LimitReached, PenstockError

LOG = logging.getLogger("penstock.forge")
MOST = 1_000
Kind = Literal["comments", "promotion", "base", "request"]
SLOW: frozenset[str] = frozenset({"request"})


class Job(NamedTuple):
    """What is to be looked at: a merge request's comments, check or promotion, or the base branch (`iid` 0)."""

    kind: Kind
    iid: int = 0


Work = Callable[[Job, Callable[[], bool]], object]
"""Does one job; its second argument says whether it is to be cut short."""


class JobQueue:
    """Workers over the jobs that wait. One worker takes no checks, so that a rollback in a comment never waits for one.

    Use it as a context manager: at its end checks in hand are cut short, and what waits is left to the poll.
    """

    def __init__(self, work: Work, *, workers: int = 3, most: int = MOST) -> None:
        self._work = work
        self._most = most
        self._waiting: dict[Job, None] = {}
        self._running: set[Job] = set()
        self._closing = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._serve, args=(number == 0,), name=f"gitlab worker {number}", daemon=True)
            for number in range(workers)
        ]

    def __enter__(self) -> "JobQueue":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def submit(self, job: Job) -> bool:
        """Whether the job is new here; False: the same one waits already. Raises `LimitReached` when it is full."""
        with self._changed:
            if job in self._waiting:
                return False
            if len(self._waiting) >= self._most:
                raise LimitReached(f"{self._most} jobs wait", now="nothing is lost: `agentctl gitlab sync` finds it")
            self._waiting[job] = None
            self._changed.notify_all()
            return True

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Whether within that time nothing waits and nothing runs."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._running, timeout_s)

    def _serve(self, quick: bool) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._next(quick) is not None)
                job = self._next(quick)
                if self._closing or job is None:
                    return
                del self._waiting[job]
                self._running.add(job)
            try:
                self._work(job, lambda: self._closing)
            except PenstockError as error:
                LOG.warning("%s %s: %s", job.kind, job.iid, error)
            except Exception:
                LOG.exception("%s %s: a fault of Penstock", job.kind, job.iid)
            finally:
                with self._changed:
                    self._running.discard(job)
                    self._changed.notify_all()

    def _next(self, quick: bool) -> Job | None:
        """The oldest job that may run now: none of its merge request's kind is running."""
        return next(
            (one for one in self._waiting if one not in self._running and not (quick and one.kind in SLOW)), None
        )
