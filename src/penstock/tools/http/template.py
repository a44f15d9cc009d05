"""An HTTP tool's declaration as a template: from a call's arguments and params to one request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from penstock.contracts.json_pointer import ABSENT, filled, value_at
from penstock.contracts.tool import HttpImplementation, SecretHeader, Taken
from penstock.pal import ToolFailed, ToolInvocation

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PLAIN = "/%:=&$+,;@!*'()~"
_UP = re.compile(r"(^|[/\\])\.{1,2}([/\\]|$)")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request that is ready to be sent."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


class RequestTemplate:
    """One tool's declaration, taken apart once; `ref` is the tool."""

    def __init__(self, implementation: HttpImplementation, writes: bool, ref: str) -> None:
        parts = urlsplit(implementation.url)
        self.scheme, self.host, self.port = parts.scheme, parts.hostname or "", parts.port
        self._spec = implementation
        self._writes = writes
        self._ref = ref
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = _PLACEHOLDER.split(parts.path or "/")

    def request(self, call: ToolInvocation, params: Mapping[str, Any], secrets: Mapping[str, str]) -> HttpRequest:
        """Raises `ToolFailed` for a value that has no place where the declaration puts it."""
        given = {"arguments": call.arguments, "params": params}
        query = self._query(given)
        body = self._body(given)
        headers = {"accept": "application/json", "accept-encoding": "identity", **self._headers(secrets)}
        if body is not None:
            headers["content-type"] = "application/json"
        if self._writes:
            headers[self._spec.idempotency_header.lower()] = call.idempotency_key
        if call.traceparent is not None:
            headers["traceparent"] = call.traceparent
        url = f"{self._origin}{self._path_for(given)}{'?' if query else ''}{query}"
        return HttpRequest(self._spec.method, url, headers, body)

    def _path_for(self, given: Mapping[str, Any]) -> str:
        """Every second part is a pointer."""
        return "".join(
            self._segment(part, given) if position % 2 else quote(part, safe=_PLAIN)
            for position, part in enumerate(self._path)
        )

    def _segment(self, pointer: str, given: Mapping[str, Any]) -> str:
        text = self._text(value_at(given, pointer), pointer, "the url's path")
        if not text or _UP.search(text):
            what = f"{pointer} is {text!r}, which the url's path cannot hold"
            raise ToolFailed(what, where=self._ref, request_at_fault=True)
        return quote(text, safe="")

    def _query(self, given: Mapping[str, Any]) -> str:
        pairs = []
        for name, value in self._spec.query.items():
            found = value_at(given, value.from_) if isinstance(value, Taken) else value
            for one in found if isinstance(found, list) else [found]:
                if one is not ABSENT and one is not None:
                    pairs.append((name, self._text(one, name, "the query")))
        return urlencode(pairs)

    def _text(self, value: Any, name: str, place: str) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool | int | float):
            return orjson.dumps(value).decode()
        kind = "missing" if value is ABSENT else f"of type {type(value).__name__}"
        what = f"{name} is {kind}: {place} takes text, numbers, true and false"
        raise ToolFailed(what, where=self._ref, request_at_fault=True)

    def _headers(self, secrets: Mapping[str, str]) -> dict[str, str]:
        headers = {}
        for name, value in self._spec.headers.items():
            text = f"{value.prefix}{secrets[value.secret]}" if isinstance(value, SecretHeader) else value
            if not (text.isascii() and text.isprintable()):
                raise ToolFailed(f"the header {name} holds what no HTTP header can", where=self._ref)
            headers[name.lower()] = text
        return headers

    def _body(self, given: Mapping[str, Any]) -> bytes | None:
        spec = self._spec
        if spec.body is not None:
            body = filled(spec.body, given, leave_out=True)
            return orjson.dumps(None if body is ABSENT else body)
        return orjson.dumps(given["arguments"]) if spec.method in _WITH_BODY else None
