"""Who carries the events to the webhooks: when asked to, or a thread at once."""

import threading
from dataclasses import replace

from penstock.errors import LimitReached
from penstock.testing.gitlab.delivery import send
from penstock.testing.gitlab.outbox import Delivery, Outbox

_MOST = 1_000


class Courier:
    """Sends what waits in the outbox, one after the other, never while the fake's lock is held.

    While `losing` is true, events are marked as lost instead.
    """

    def __init__(self, outbox: Outbox, lock: threading.RLock, *, at_once: bool) -> None:
        self.losing = False
        self._outbox = outbox
        self._lock = lock
        self._at_once = at_once
        self._instance = ""
        self._sending = threading.Lock()
        self._news = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-gitlab-fake-webhooks")

    def start(self, instance: str) -> None:
        """Begins to send at once, where that was asked for; `instance` is the GitLab's address."""
        self._instance = instance
        if self._at_once:
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what waits stays unsent."""
        self._ended.set()
        self._news.set()
        if self._at_once:
            self._thread.join()

    def wake(self) -> None:
        """Tells the thread that something may wait."""
        self._news.set()

    def deliver(self) -> list[Delivery]:
        """Sends what waits and what comes to wait meanwhile; returns it.

        Raises `LimitReached` when it does not end: a receiver that answers each event with another one.
        """
        carried: list[Delivery] = []
        with self._sending:
            while (delivery := self._next()) is not None:
                if self.losing:
                    delivery.lost = True
                else:
                    send(delivery, self._instance)
                with self._lock:
                    self._outbox.sent.append(delivery)
                carried.append(delivery)
                if len(carried) > _MOST:
                    raise LimitReached(f"more than {_MOST} events, one after the other", where=delivery.hook.url)
        return carried

    def resend(self, delivery: Delivery) -> Delivery:
        """Sends a copy of an event."""
        again = replace(delivery, status=None, failure="", lost=False, answer=b"")
        with self._sending:
            send(again, self._instance)
        with self._lock:
            self._outbox.sent.append(again)
        return again

    def _next(self) -> Delivery | None:
        with self._lock:
            if self._ended.is_set() or not self._outbox.waiting:
                return None
            return self._outbox.waiting.popleft()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._news.wait()
            self._news.clear()
            self.deliver()
