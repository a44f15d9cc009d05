"""Sending events to webhooks, with the headers and signatures that GitLab sends."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime

from penstock.testing.gitlab.outbox import EVENTS, Delivery

_TIMEOUT_S = 10.0


def send(delivery: Delivery, instance: str) -> None:
    """Sends one event and writes down what came of it; a receiver that fails is no error."""
    body = json.dumps(delivery.payload)
    delivery.headers = _headers(delivery, body, instance)
    request = urllib.request.Request(delivery.hook.url, body.encode(), delivery.headers, method="POST")
    try:
        with _opener().open(request, timeout=_TIMEOUT_S) as response:
            delivery.status, delivery.answer = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            delivery.status, delivery.answer = error.code, error.read()
    except (OSError, ValueError) as error:
        delivery.failure = str(error) or type(error).__name__


def _headers(delivery: Delivery, body: str, instance: str) -> dict[str, str]:
    hook = delivery.hook
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitLab/18.6.0",
        "X-Gitlab-Event": EVENTS[delivery.kind],
        "X-Gitlab-Webhook-UUID": f"00000000-0000-4000-8000-{hook.id:012d}",
        "X-Gitlab-Instance": instance,
        "X-Gitlab-Event-UUID": delivery.event_uuid,
        "Idempotency-Key": delivery.key,
    }
    if hook.token:
        headers["X-Gitlab-Token"] = hook.token
    if hook.signing_token:
        from standardwebhooks.webhooks import Webhook

        at = datetime.now(UTC)
        headers |= {
            "webhook-id": delivery.key,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(hook.signing_token).sign(delivery.key, at, body),
        }
    return headers


def _opener() -> urllib.request.OpenerDirector:
    # No proxy from the environment: the receivers are on this machine.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
