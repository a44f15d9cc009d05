"""What a caller may ask for in `POST /v1/agents/{agent}/runs`, and who the caller says it is."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

from penstock.contracts.document import VERSION_PATTERN
from penstock.contracts.model_choice import COMPLEXITIES, Complexity
from penstock.errors import Fault, WrongUse
from penstock.executor.json_body import BODY, parse_body, refuse_faults

STAGES = ("dev", "canary", "prod")
MODES = ("live", "dry")
FIELDS = ("input", "contextRefId", "sessionId", "version", "stage", "mode", "complexity")
_KNOWN = frozenset(FIELDS)

_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}")
_VERSION = re.compile(VERSION_PATTERN)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, as the headers say: not checked, which is why the executor stays on loopback."""

    tenant: str | None
    user: str | None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class RunOrder:
    """The body of a run request; `context_ref_id` names a payload that is the input, and `input` is None then."""

    input: Any
    session_id: str | None = None
    version: str | None = None
    stage: str | None = None
    mode: Literal["live", "dry"] = "live"
    context_ref_id: str | None = None
    complexity: Complexity | None = None
    uses_cache: bool = True


def read_identity(headers: Iterable[tuple[bytes, bytes]]) -> Identity:
    """The caller of X-Penstock-Tenant, X-Penstock-User and X-Penstock-Stage; raises `WrongUse` for a bad one."""
    tenant = user = stage = None
    for name, value in headers:
        if not name.startswith(b"x-penstock-"):
            continue
        if name == b"x-penstock-tenant":
            tenant = _identity_value("X-Penstock-Tenant", value)
        elif name == b"x-penstock-user":
            user = _identity_value("X-Penstock-User", value)
        elif name == b"x-penstock-stage":
            stage = value.decode("latin-1")
    if stage is not None and stage not in STAGES:
        raise WrongUse(f"no stage {stage!r}", where="X-Penstock-Stage", now=f"stages are: {', '.join(STAGES)}")
    return Identity(tenant, user, stage)


def wants_cache(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether an earlier answer may do: not with `Cache-Control: no-cache` or `no-store`, which mean the same here."""
    said = b",".join(value for name, value in headers if name == b"cache-control").lower()
    return not {word.strip() for word in said.split(b",")} & {b"no-cache", b"no-store"}


def read_order(body: bytes, *, uses_cache: bool = True) -> RunOrder:
    """The order in `body`; raises `WrongUse` when it is no JSON and `Invalid` with every fault otherwise."""
    return order_of(parse_body(body, '{"input": ...}'), uses_cache=uses_cache)


def order_of(document: Any, *, uses_cache: bool = True) -> RunOrder:
    """The order in a JSON value; raises `Invalid` with every fault."""
    if not isinstance(document, dict):
        refuse_faults([_fault("", "must be an object", 'send {"input": ...}')])
    refuse_faults([*_field_faults(document), *_value_faults(document)])
    return RunOrder(
        document.get("input"),
        document.get("sessionId"),
        document.get("version"),
        document.get("stage"),
        cast(Literal["live", "dry"], document.get("mode", "live")),
        document.get("contextRefId"),
        document.get("complexity"),
        uses_cache,
    )


def _field_faults(document: dict[str, Any]) -> Iterable[Fault]:
    if "input" not in document and "contextRefId" not in document:
        yield _fault("input", "is missing", "the agent's input, of any JSON type")
    if "input" in document and "contextRefId" in document:
        yield _fault("contextRefId", "stands for the input, and there is one", "send one of the two")
    for name in document.keys() - _KNOWN:
        near = difflib.get_close_matches(name, FIELDS, 1)
        yield _fault(name, "unknown field", f"did you mean {near[0]}?" if near else f"fields are: {', '.join(FIELDS)}")


def _value_faults(document: dict[str, Any]) -> Iterable[Fault]:
    ref_id = document.get("contextRefId")
    if "contextRefId" in document and not isinstance(ref_id, str):
        yield _fault("contextRefId", "must be a text", "the contextRefId that POST /v1/payloads answered")
    session = document.get("sessionId")
    if session is not None and not (isinstance(session, str) and _IDENTITY.fullmatch(session)):
        yield _fault("sessionId", "must be 1 to 128 letters, digits or ._@:+-", "")
    version = document.get("version")
    if version is not None and not (isinstance(version, str) and _VERSION.match(version)):
        yield _fault("version", "must be a SemVer version", "such as 1.0.0")
    for name, choices in (("stage", STAGES), ("mode", MODES), ("complexity", COMPLEXITIES)):
        value = document.get(name)
        if name in document and not (value is None and name != "mode") and value not in choices:
            yield _fault(name, f"must be one of {', '.join(choices)}", "")


def _identity_value(header: str, value: bytes) -> str:
    text = value.decode("latin-1")
    if not _IDENTITY.fullmatch(text):
        raise WrongUse("must be 1 to 128 letters, digits or ._@:+-", where=header, now="leave it out or mend it")
    return text


def _fault(pointer: str, what: str, hint: str) -> Fault:
    return Fault(BODY, 0, 0, pointer, what, hint)
