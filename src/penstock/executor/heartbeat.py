"""The executor's heartbeat: what is in force here, said in the database for those who look after all executors."""

import contextlib
import logging
import os
import socket
import threading
import uuid

from penstock import __version__
from penstock.errors import PenstockError
from penstock.executor.database_link import DatabaseLink
from penstock.routing.watch import TableWatch
from penstock.store.executors import Beat, ExecutorStore

LOG = logging.getLogger("penstock.executor")
BEAT_S = 5.0
FIRST_S = 1.0
"""Between two tries to be heard at all."""
CLOSE_S = 2.0


class Heartbeat:
    """Beats every 5 s and with each new table, in a thread of its own: nobody who is served waits for it.

    While the database is away nothing is said, and nothing breaks.
    """

    def __init__(self, database: DatabaseLink, watch: TableWatch, url: str) -> None:
        self._database = database
        self._watch = watch
        self._url = url
        self._id = str(uuid.uuid4())
        self._is_known = False
        self._is_over = False
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="penstock-heartbeat", daemon=True)

    def start(self) -> None:
        """Begins to beat."""
        self._watch.subscribe(lambda _: self._news.set())
        self._thread.start()

    def close(self) -> None:
        """Takes the executor off the list, if the database answers within 2 s."""
        self._is_over = True
        self._news.set()
        self._thread.join(CLOSE_S)

    def _beat_on(self) -> None:
        while not self._is_over:
            self._news.clear()
            try:
                self._say()
            except PenstockError:
                pass  # `/readyz` shows why the database is away
            except Exception as error:  # a thread that dies here would make a healthy executor silent
                LOG.error("the heartbeat failed: %r", error)
            if not self._is_over:
                self._news.wait(BEAT_S if self._is_known else FIRST_S)
        if self._is_known:
            with contextlib.suppress(PenstockError):
                ExecutorStore(self._database.database).remove(self._id)

    def _say(self) -> None:
        store, beat = ExecutorStore(self._database.database), self._beat()
        if self._is_known:
            store.put(beat)
        else:
            store.enter(beat)
            self._is_known = True

    def _beat(self) -> Beat:
        table, problem = self._watch.current, self._watch.problem
        return Beat(
            self._id,
            self._url,
            socket.gethostname(),
            os.getpid(),
            __version__,
            table.record.lineage if table is not None else None,
            table.generation if table is not None else None,
            self._watch.age_s,
            problem.what if problem is not None else None,
        )
