"""AlertDesk: takes alerts in from runs and from the watch over all runs, keeps them, and tells them, in a thread."""

import contextlib
import logging
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.contracts.document import duration_s
from penstock.contracts.operations_alerts import Alerts
from penstock.errors import PenstockError, Unavailable
from penstock.executor.telemetry.alert_teller import AlertTeller
from penstock.executor.telemetry.alert_watch import AlertWatch
from penstock.store.alerts import Alert, AlertStore
from penstock.store.clock import now
from penstock.store.database import Database
from penstock.store.duty import Duty

LOG = logging.getLogger("penstock.executor")
QUEUE = 1_000
TURN_S = 1.0
WATCH_S = 60.0
FIRST_WATCH_S = 5.0
RETELL_S = 30.0
RETELL_FOR_S = 3_600.0
RETELL_AT_ONCE = 5
CLOSE_S = 3.0
LEASE_S = 2.5 * WATCH_S
DUTY = "alerts"
_HEAD = ("rule", "severity", "what")


@dataclass(slots=True)
class _Waiting:
    """An alert that the database does not have yet, with its repeats; `told` = the endpoint knows it already."""

    alert: Alert
    count: int = 0
    told: bool = False


class AlertDesk:
    """An observer of a sink. `database` gives the open database and raises `Unavailable` while there is none.

    While it is away alerts wait here, one a rule and agent, and are told all the same.
    """

    def __init__(
        self, alerts: Alerts, teller: AlertTeller, watch: AlertWatch, database: Callable[[], Database]
    ) -> None:
        self.recorded: Counter[tuple[str, str]] = Counter()
        self.dropped = 0
        self.use(alerts)
        self._teller = teller
        self._watch = watch
        self._database = database
        self._holder = uuid.uuid4().hex
        self._queue: deque[Alert] = deque()
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._told_away: dict[tuple[str, str], float] = {}
        self._next_watch = 0.0
        self._wake = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._work, name="penstock-alerts", daemon=True)

    def use(self, alerts: Alerts) -> None:
        """Tells as often as these say from now on."""
        self._quiet_s = duration_s(alerts.quiet)

    def observe(self, event: dict[str, Any]) -> None:
        """Takes in an alert.raised of a run."""
        if event["type"] == "alert.raised":
            data = event["data"]
            facts = {name: value for name, value in data.items() if name not in _HEAD}
            self.take(
                Alert(
                    data["rule"], event["agent"], data["severity"], data["what"], event["stage"], event["runId"], facts
                )
            )

    def take(self, alert: Alert) -> None:
        """Takes an alert in without waiting; where there are too many it is dropped and counted."""
        if len(self._queue) >= QUEUE:
            self.dropped += 1
            return
        self._queue.append(alert)
        self._wake.set()

    def start(self) -> None:
        """Begins to work; all runs are looked over for the first time after 5 s, so not by who runs one and ends."""
        self._next_watch = time.monotonic() + FIRST_WATCH_S
        self._thread.start()

    def close(self) -> None:
        """Keeps what is left, if the database answers within 3 s."""
        self._is_over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def turn(self) -> None:
        """One turn of the thread: keeps and tells what came in; looks over all runs once it is time."""
        self._drain()
        with contextlib.suppress(Unavailable):  # /readyz shows why the database is away
            database = self._database()
            if time.monotonic() >= self._next_watch:
                self._next_watch = time.monotonic() + WATCH_S
                self._look(database)
        for key in list(self._waiting):
            self._settle(key)

    def _work(self) -> None:
        is_last = False
        while not is_last:
            self._wake.wait(TURN_S)
            self._wake.clear()
            is_last = self._is_over
            try:
                self.turn()
            except Exception as error:  # a thread that dies here would make every later alert silent
                LOG.error("alerts failed: %r", error)

    def _drain(self) -> None:
        while self._queue:
            alert = self._queue.popleft()
            self.recorded[alert.rule, alert.severity] += 1
            waiting = self._waiting.setdefault((alert.rule, alert.agent), _Waiting(alert))
            waiting.alert, waiting.count = alert, waiting.count + 1

    def _look(self, database: Database) -> None:
        """The periodic rules, by one executor at a time, which also tells what others could not."""
        duty = Duty(database, DUTY, self._holder)
        if not duty.take(LEASE_S, first_after_s=0.0):
            return
        try:
            self._look_over(database)
        finally:
            duty.leave(WATCH_S - 2 * TURN_S)  # so that who comes first again is not a moment too early

    def _look_over(self, database: Database) -> None:
        store = AlertStore(database)
        for alert in self._watch.look(database):
            self._queue.append(alert)
        self._drain()
        if self._teller.is_set:
            for found in store.untold(older_s=RETELL_S, younger_s=RETELL_FOR_S, limit=RETELL_AT_ONCE):
                if not self._teller.tell(found):
                    break
                store.mark_told(found["id"])

    def _settle(self, key: tuple[str, str]) -> None:
        """Keeps a waiting alert and tells it if it is new; without the database it is told and goes on waiting."""
        waiting = self._waiting[key]
        try:
            store = AlertStore(self._database())
            kept, is_new = store.put(waiting.alert, count=waiting.count, quiet_s=self._quiet_s)
        except Unavailable:
            self._tell_without_database(key, waiting)
            return
        except PenstockError as fault:  # it will never take it: the alert is in the run's events all the same
            LOG.error("an alert could not be kept: %s", fault)
            del self._waiting[key]
            return
        del self._waiting[key]
        if is_new and self._teller.is_set and (waiting.told or self._teller.tell(kept)):
            with contextlib.suppress(Unavailable):
                store.mark_told(kept["id"])

    def _tell_without_database(self, key: tuple[str, str], waiting: _Waiting) -> None:
        last = self._told_away.get(key)
        if not self._teller.is_set or (last is not None and time.monotonic() - last < self._quiet_s):
            return
        alert, at = waiting.alert, now()
        document = {
            "id": str(uuid.uuid4()), "rule": alert.rule, "agent": alert.agent, "severity": alert.severity,
            "what": alert.what, "stage": alert.stage, "runId": alert.run_id, **alert.facts,
            "firstAt": at, "at": at, "count": waiting.count,
        }  # fmt: skip
        if self._teller.tell(document):
            waiting.told = True
            self._told_away[key] = time.monotonic()
