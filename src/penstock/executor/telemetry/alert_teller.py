"""AlertTeller: alerts as CloudEvents to the project's endpoint, never in the way of whoever found them."""

import logging
import time
from typing import Any

from penstock.errors import PenstockError
from penstock.release.endpoint import Endpoint

LOG = logging.getLogger("penstock.executor")
TYPE = "dev.penstock.alert.raised"
SOURCE = "urn:penstock:alerts"
TELL_S = 5.0


class AlertTeller:
    """Tells the endpoint at `url`; empty = nobody. Blocks for at most 5 seconds an alert."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_away = False

    @property
    def is_set(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._url)

    def tell(self, alert: dict[str, Any]) -> bool:
        """Sends the alert as it is kept (`store.alerts`); False when that did not work, which is logged once."""
        head = {"id": alert["id"], "source": SOURCE, "type": TYPE, "subject": alert["agent"], "time": alert["firstAt"]}
        data = {name: value for name, value in alert.items() if name != "toldAt"}
        try:
            with Endpoint(self._url, time.monotonic() + TELL_S).connected() as sender:
                sender.send({**head, "data": data})
        except PenstockError as problem:
            if not self._is_away:
                LOG.warning("alerts are not told for now: %s", problem)
            self._is_away = True
            return False
        self._is_away = False
        return True
