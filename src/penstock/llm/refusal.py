"""What went wrong at a provider, told in the platform's own words.

A provider's words may quote the prompt or a key, and an error ends up in events: so none of them is carried on, but
for its machine-readable code.
"""

import re
from collections.abc import Mapping
from typing import Any

from penstock.errors import PenstockError
from penstock.http_session import retry_after_s
from penstock.pal import CallRefused, ModelCall, ModelFailed

_CODE = re.compile(r"[a-z][a-z0-9_]{2,59}")
_REASONS: dict[int, tuple[str, str]] = {
    400: ("refused the request as malformed", "check the model's spec.parameters"),
    401: ("refused the key", "check the secret that the model's apiKey names"),
    403: ("denies access to the model", "check what the key may use"),
    404: ("does not know the model", "check the model's spec.model and apiBase"),
    408: ("took too long", "try again later, or raise limits.timeoutMs"),
    413: ("refused the request as too large", "shorten the input"),
    422: ("refused the request as malformed", "check the model's spec.parameters"),
    429: ("refuses more calls for now (rate limit or quota)", "try again later"),
}
_CONNECTION = frozenset({"TransportError", "ClientError", "OSError"})
_NOT_CONNECTED = frozenset(
    {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ConnectionRefusedError", "gaierror"}
)
_ANSWERED = frozenset({"APIStatusError", "HTTPStatusError"})
_TIMEOUT, _RATE_LIMIT, _SERVER_FAULT = 408, 429, 500
_REQUEST_AT_FAULT = frozenset({400, 413, 422})


def model_failed(error: Exception, call: ModelCall, hidden: tuple[str, ...]) -> PenstockError:
    """The error to raise for what LiteLLM raised; errors of the platform stay as they are."""
    if isinstance(error, PenstockError):
        return error
    kind = type(error).__name__
    status = getattr(error, "status_code", None)
    causes = _causes(error)
    if _any_of(causes, _CONNECTION):
        return connection_failed(call, was_made=not _any_of(causes, _NOT_CONNECTED))
    if not isinstance(status, int) or (status >= _SERVER_FAULT and not _any_of(causes, _ANSWERED)):
        # LiteLLM says 500 of everything that it cannot read.
        return garbled(call, f"an answer that cannot be read ({kind})")
    return refused(call, status, _code(error, hidden), _retry_after(causes), f" ({kind})")


def refused(
    call: ModelCall, status: int, code: str, retry_after: str | None, kind: str = "", *, is_midway: bool = False
) -> ModelFailed:
    """The error for an answer of this status; `code` is safe to show or empty, `kind` is put behind it.

    `is_midway` = an answer had begun, which may be charged for.
    """
    reason, now = _REASONS.get(status, ("failed", "try again later"))
    told = f"the provider {reason}: {status}{f', {code}' if code else ''}{kind}"
    retryable = status in (_TIMEOUT, _RATE_LIMIT) or status >= _SERVER_FAULT
    failed = ModelFailed if is_midway else CallRefused
    return failed(
        told,
        where=place(call),
        now=now,
        retryable=retryable,
        retry_after_s=retry_after_s(retry_after) if retryable and retry_after is not None else None,
        request_at_fault=status in _REQUEST_AT_FAULT,
    )


def timed_out(call: ModelCall) -> ModelFailed:
    """The error for a provider that did not answer within the call's time."""
    told = f"the provider did not answer within {call.timeout_s:g} s, the time of one model call"
    now = "try again later, or raise the model's spec.timeoutMs; without one, the agent's limits.timeoutMs"
    return ModelFailed(told, where=place(call), now=now, retryable=True)


def garbled(call: ModelCall, what: str, *, request_at_fault: bool = False) -> ModelFailed:
    """The error for an answer that breaks the chat protocol; `what` holds nothing of the answer itself."""
    told, now = f"the provider gave {what}", "check the provider behind the model's apiBase"
    return ModelFailed(told, where=place(call), now=now, request_at_fault=request_at_fault)


def place(call: ModelCall) -> str:
    """The model by its reference and its name at the provider."""
    return f"{call.ref} ({call.model})"


def connection_failed(call: ModelCall, *, was_made: bool = True) -> ModelFailed:
    """The error for a connection that could not be made or broke.

    One that broke may have carried a request that is paid for; one that was never made has not.
    """
    told = "the connection to the provider failed"
    kind = ModelFailed if was_made else CallRefused
    return kind(told, where=place(call), now="check the network and the model's apiBase", retryable=True)


def _retry_after(causes: list[BaseException]) -> str | None:
    """The provider's Retry-After; None where there is none."""
    for cause in causes:
        for headers in (getattr(cause, "litellm_response_headers", None), getattr(_answer(cause), "headers", None)):
            if isinstance(headers, Mapping) and "retry-after" in headers:
                return str(headers["retry-after"])
    return None


def _answer(cause: BaseException) -> Any:
    return getattr(cause, "response", None)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what led to it, nearest first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = getattr(link, "original_exception", None) or link.__cause__ or link.__context__
    return chain


def _any_of(causes: list[BaseException], names: frozenset[str]) -> bool:
    """Whether one of the causes is of a class of these names (they are several libraries' own).

    LiteLLM's own classes say nothing: each is derived from a class of the OpenAI client, whatever happened.
    """
    foreign = (type(cause) for cause in causes if not type(cause).__module__.startswith("litellm."))
    return any(parent.__name__ in names for kind in foreign for parent in kind.__mro__)


def _code(error: Any, hidden: tuple[str, ...]) -> str:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    given = inner.get("code") or inner.get("type") if isinstance(inner, dict) else getattr(error, "code", None)
    return safe_code(given, hidden)


def safe_code(given: Any, hidden: tuple[str, ...]) -> str:
    """A provider's machine-readable code if it is one and holds no secret, else nothing."""
    is_safe = isinstance(given, str) and _CODE.fullmatch(given) and not any(value in given for value in hidden)
    return str(given) if is_safe else ""
