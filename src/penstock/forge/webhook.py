"""The webhook receiver: who speaks is checked, then a job is queued and answered with 202 before it is done."""

import hmac
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from penstock.errors import LimitReached, PenstockError, Refused, WrongUse
from penstock.forge.command import is_call
from penstock.forge.connection import SIGNING_SECRET, WEBHOOK_TOKEN
from penstock.forge.queue import Job, JobQueue

PATH = "/gitlab/webhook"
LARGEST = 2_000_000
"""Bytes of a payload: GitLab names at most 20 commits in one."""
REMEMBERED = 10_000
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Secrets:
    """What a webhook proves itself by; where both are set, both must hold."""

    token: str = field(repr=False)
    signing: str = field(repr=False)

    def require(self) -> None:
        """Raises `WrongUse` when neither is set, or the signing secret is none."""
        if not self.token and not self.signing:
            raise WrongUse(
                "nothing would tell a webhook of GitLab's from anybody's",
                where="the environment",
                now=f"set {WEBHOOK_TOKEN} or {SIGNING_SECRET}, or both, as the webhook has them",
            )
        if self.signing:
            _webhook(self.signing)

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises `Refused` unless token and signature are right, the signature not older than five minutes."""
        given = headers.get("x-gitlab-token", "").encode()
        if self.token and not hmac.compare_digest(given, self.token.encode()):
            raise Refused("X-Gitlab-Token is not the webhook's", now=f"compare it with {WEBHOOK_TOKEN}")
        if self.signing:
            _verify(self.signing, headers, body)


class Seen:
    """The deliveries of late, by their ids: one that comes again is answered and not done again."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._most = most
        self._guard = threading.Lock()

    def is_known(self, delivery: str) -> bool:
        """Whether it was taken before."""
        with self._guard:
            return delivery in self._ids

    def take(self, delivery: str) -> None:
        """Remembers a delivery that was taken."""
        with self._guard:
            self._ids[delivery] = None
            if len(self._ids) > self._most:
                self._ids.popitem(last=False)


def build_app(queue: JobQueue, secrets: Secrets, *, project: str, base_branch: str) -> Starlette:
    """The receiver's HTTP interface; `project` is the path or number whose events it takes."""
    secrets.require()
    seen = Seen()

    async def receive(request: Request) -> Response:
        try:
            body = await _body(request)
            secrets.check(request.headers, body)
            payload = _payload(body)
            delivery = request.headers.get("webhook-id") or request.headers.get("idempotency-key") or ""
            if delivery and seen.is_known(delivery):
                return _answer(200, {"jobs": [], "why": "it was taken before"})
            jobs = jobs_of(payload, project, base_branch)
            for job in jobs:
                queue.submit(job)
        except PenstockError as error:
            return _problem(error)
        if delivery:
            seen.take(delivery)
        return _answer(202 if jobs else 200, {"jobs": [job._asdict() for job in jobs]})

    async def alive(_: Request) -> Response:
        return _answer(200, {"status": "ok"})

    return Starlette(routes=[Route(PATH, receive, methods=["POST"]), Route("/livez", alive)])


def jobs_of(payload: Mapping[str, Any], project: str, base_branch: str) -> list[Job]:
    """What an event asks to be looked at; nothing of what it says is believed but which merge request it is about."""
    about = _object(payload, "project")
    if project not in {str(about.get("path_with_namespace", "")), str(about.get("id", ""))}:
        return []
    kind, said = payload.get("object_kind"), _object(payload, "object_attributes")
    if kind == "push":
        return [Job("base")] if payload.get("ref") == f"refs/heads/{base_branch}" else []
    if kind == "note":
        iid = _iid(_object(payload, "merge_request"))
        return [Job("comments", iid)] if iid and is_call(str(said.get("note", ""))) else []
    if kind == "merge_request":
        return _request_jobs(_iid(said), str(said.get("source_branch", "")))
    if kind == "pipeline":
        request = _object(payload, "merge_request")
        return _request_jobs(_iid(request), str(request.get("source_branch", "")))
    return []


def _request_jobs(iid: int, branch: str) -> list[Job]:
    if not iid:
        return []
    return [Job("promotion", iid)] if branch.startswith("penstock/") else [Job("request", iid)]


def _object(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = payload.get(key)
    return found if isinstance(found, Mapping) else {}


def _iid(request: Mapping[str, Any]) -> int:
    iid = request.get("iid")
    return iid if isinstance(iid, int) and 0 < iid < 2**53 else 0


async def _body(request: Request) -> bytes:
    """The whole body; raises `WrongUse` for one that is too large or cut short."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > LARGEST:
                raise _TooLarge(f"the payload is larger than {LARGEST} bytes", now="see the webhook's events")
            parts.append(part)
    except ClientDisconnect:
        raise WrongUse("the payload was cut short", now="send it again") from None
    return b"".join(parts)


class _TooLarge(WrongUse):
    """A body beyond the limit."""

    slug = "too-large"
    http_status = 413


def _payload(body: bytes) -> Mapping[str, Any]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict):
        raise WrongUse("the payload is no JSON object", now="send what GitLab sends")
    return payload


def _webhook(secret: str) -> Any:
    from standardwebhooks import Webhook

    try:
        return Webhook(secret)
    except (ValueError, RuntimeError):
        raise WrongUse(
            f"{SIGNING_SECRET} is no signing token", where="the environment", now="it begins with whsec_, then base64"
        ) from None
    except Exception as error:  # the library's own, for an empty one
        raise WrongUse(f"{SIGNING_SECRET}: {error}", where="the environment", now="copy it anew from GitLab") from None


def _verify(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    from standardwebhooks import WebhookVerificationError

    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    given = {name: headers.get(name, "") for name in names}
    try:
        _webhook(secret).verify(body, given, json_parse=False)
    except WebhookVerificationError as error:
        raise Refused(
            f"the signature does not hold: {error}", now=f"compare the secret with {SIGNING_SECRET}"
        ) from None
    except (ValueError, OverflowError):  # what is no signature, no text, no time at all
        raise Refused("the signature cannot be read", now=f"compare the secret with {SIGNING_SECRET}") from None


def _answer(status: int, document: Any) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


def _problem(error: PenstockError) -> Response:
    """A full queue answers 503: GitLab switches a webhook off for good that says 4xx again and again."""
    is_full = isinstance(error, LimitReached)
    status = 401 if isinstance(error, Refused) else 503 if is_full else error.http_status
    document = {
        "type": f"urn:penstock:problem:{error.slug}",
        "title": error.what,
        "status": status,
        "detail": f"{error.what}{f'; {error.now}' if error.now else ''}",
    }
    return Response(orjson.dumps(document), status, {"retry-after": "30"} if is_full else None, media_type=MEDIA_TYPE)
