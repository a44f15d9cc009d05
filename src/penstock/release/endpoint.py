"""The endpoint that is told of changes: CloudEvents 1.0 by HTTP, one event a request, signed where a secret is set."""

import base64
import binascii
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock.engine.patience import quiet_stamina
from penstock.errors import PenstockError, Refused, Unavailable, WrongUse
from penstock.release.clock import moment_of

if TYPE_CHECKING:
    import httpx

SECRET = "PENSTOCK_NOTIFY_SECRET"
SECRET_PREFIX = "whsec_"
SHORTEST_SECRET = 24
ATTEMPTS = 4
ATTEMPT_S = 2.0
FIRST_WAIT_S = 0.1
BODY_BYTES = 65_536
AGAIN = frozenset({408, 425, 429})


class Endpoint:
    """Where events are sent; `deadline` (monotonic seconds) ends every attempt. Raises `WrongUse` for a bad URL.

    Neither the URL's path nor its password is ever shown: for many receivers they are the secret.
    """

    def __init__(self, url: str, deadline: float) -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if parts.scheme not in {"http", "https"} or not host:
            now = "give an http:// or https:// URL"
            raise WrongUse("is no address that can be told anything", where="notify_url", now=now)
        self.place = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        self._url = url
        self._deadline = deadline
        self._webhook = _signing()

    @contextmanager
    def connected(self) -> Iterator["Sender"]:
        """What sends events over one connection; raises `Unavailable` when a library is missing."""
        try:
            import cloudevents.core.v1.event  # noqa: F401
            import httpx
        except ModuleNotFoundError as error:
            raise Unavailable(
                f"not installed: {error.name}", where="notify_url", now="pip install 'penstock[notify]'"
            ) from None
        logging.getLogger("httpx").setLevel(logging.WARNING)  # below that it logs whole URLs
        headers = {"user-agent": "penstock", "accept": "*/*", "accept-encoding": "identity"}
        with httpx.Client(follow_redirects=False, headers=headers) as client:
            yield Sender(client, self._url, self.place, self._deadline, self._webhook)


class Sender:
    """Sends events over one client."""

    def __init__(self, client: "httpx.Client", url: str, place: str, deadline: float, webhook: Any) -> None:
        self._client = client
        self._url = url
        self._place = place
        self._deadline = deadline
        self._webhook = webhook

    def send(self, event: dict[str, Any]) -> None:
        """Sends the event with its attributes and `data`; asks again what a moment later may go well.

        Raises `Refused` when the endpoint says no for good, `Unavailable` when it is away, overloaded or too slow.
        """
        attributes = {key: value for key, value in event.items() if key != "data"}
        attributes["time"] = moment_of(str(event["time"])) or datetime.now(UTC)
        body = _envelope(attributes, event["data"])
        for attempt in quiet_stamina().retry_context(on=self._patience(), attempts=ATTEMPTS, timeout=None):
            with attempt:
                self._post(str(event["id"]), body)

    def _patience(self) -> Callable[[Exception], bool | float]:
        """Says after each failure how many seconds to wait for the next attempt; False = none follows."""
        waits = iter(FIRST_WAIT_S * 4**number for number in range(ATTEMPTS))

        def wait_s(error: Exception) -> bool | float:
            chosen = next(waits) + random.uniform(0, FIRST_WAIT_S)
            is_in_time = time.monotonic() + chosen < self._deadline
            return chosen if isinstance(error, Unavailable) and is_in_time else False

        return wait_s

    def _post(self, identity: str, body: bytes) -> None:
        import httpx

        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise Unavailable("there was no time left for it", where=self._place, now="it is told next time")
        headers = {"content-type": "application/cloudevents+json; charset=utf-8", **self._signature(identity, body)}
        timeout = httpx.Timeout(min(ATTEMPT_S, left_s))
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers, timeout=timeout) as response:
                self._leave(response)
                status = response.status_code
        except httpx.TimeoutException:
            raise self._away("it did not answer in time") from None
        except httpx.ConnectError as error:
            raise self._away(f"it cannot be reached: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise self._away(f"it does not answer as HTTP: {type(error).__name__}") from None
        if not 200 <= status < 300:
            raise self._no(status)

    def _leave(self, response: "httpx.Response") -> None:
        """Reads what little an endpoint says beside its status, so that the connection serves again."""
        import httpx

        size = 0
        try:
            for chunk in response.iter_raw():
                size += len(chunk)
                if size > BODY_BYTES or time.monotonic() > self._deadline:
                    return
        except httpx.HTTPError:
            return  # the status came, and it is what counts

    def _signature(self, identity: str, body: bytes) -> dict[str, str]:
        if self._webhook is None:
            return {}
        at = datetime.now(UTC)
        signature = self._webhook.sign(msg_id=identity, timestamp=at, data=body.decode())
        return {
            "webhook-id": identity,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }

    def _away(self, what: str) -> Unavailable:
        return Unavailable(what, where=self._place, now="it is told again next time; `agentctl notify` tells it now")

    def _no(self, status: int) -> PenstockError:
        if status >= 500 or status in AGAIN:
            return self._away(f"it answered {status}")
        if 300 <= status < 400:
            now = "set notify_url to the address that it means"
            return Refused(f"it answered {status}, and a redirect is not followed", where=self._place, now=now)
        now = f"check notify_url and {SECRET}; `agentctl notify --test` tries them, `--skip` leaves out what is due"
        return Refused(f"it answered {status}", where=self._place, now=now)


def _envelope(attributes: dict[str, Any], data: dict[str, Any]) -> bytes:
    """The event in CloudEvents' structured JSON form."""
    from cloudevents.core.bindings.http import to_structured
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    event = CloudEvent({**attributes, "specversion": "1.0", "datacontenttype": "application/json"}, data)
    return to_structured(event, JSONFormat()).body


def _signing() -> Any:
    """Standard Webhooks' signer of the secret in the environment; None without one."""
    secret = os.environ.get(SECRET, "")
    if not secret:
        return None
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < SHORTEST_SECRET:
        now = f"give {SECRET_PREFIX} and the base64 of {SHORTEST_SECRET} to 64 random bytes"
        raise WrongUse("is no secret of Standard Webhooks", where=SECRET, now=now)
    try:
        from standardwebhooks import Webhook
    except ModuleNotFoundError:
        raise Unavailable(
            "not installed: standardwebhooks", where=SECRET, now="pip install 'penstock[notify]'"
        ) from None
    return Webhook(key)
