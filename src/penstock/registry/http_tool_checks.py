"""HTTP tools: every value of the request is one that a call has, secrets are declared, and nothing else is sent."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from penstock.contracts.tool import HEADER_PATTERN, TAKEN_PATTERN, HttpImplementation, SecretHeader, Taken
from penstock.registry.document_faults import did_you_mean
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.model_checks import is_credential
from penstock.registry.strict_yaml import Path

# Set by the platform or by HTTP itself.
_RESERVED_WORDS = """
    host content-length content-type transfer-encoding connection upgrade te trailer expect accept accept-encoding
    cookie traceparent tracestate proxy-authorization
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
_TAKEN = re.compile(TAKEN_PATTERN)
_HEADER = re.compile(HEADER_PATTERN)
_BRACES = re.compile(r"\{([^{}]*)\}")


def check_http_tool(registry: Registry, tool: Loaded, faults: FaultList) -> None:
    """Every fault of one tool's request."""
    implementation: HttpImplementation = tool.spec.implementation
    _Request(tool, implementation, faults).check()
    files = registry.code.get((tool.reference.name, tool.reference.version), [])
    if files:
        faults.blame_file(files[0].path, "an http tool has no code", "remove the folder")


class _Request:
    """One tool's declaration under check."""

    def __init__(self, tool: Loaded, implementation: HttpImplementation, faults: FaultList) -> None:
        self._tool = tool
        self._implementation = implementation
        self._faults = faults

    def check(self) -> None:
        """Url, query, headers, body."""
        self._check_url()
        for name, value in self._implementation.query.items():
            if isinstance(value, Taken):
                self._check_pointer(value.from_, ("query", name))
        for name, header in self._implementation.headers.items():
            self._check_header(name, header)
        self._check_body()

    def _check_url(self) -> None:
        url = self._implementation.url
        pointers = _BRACES.findall(url)
        if not _is_sound(url):
            self._blame(("url",), "its host or port is none", "such as https://api.example.com:8443/items")
        if "{" in _BRACES.sub("", url) or "}" in _BRACES.sub("", url):
            self._blame(("url",), "has a brace without its other half", "{/arguments/<name>}")
        for pointer in pointers:
            if not _TAKEN.fullmatch(pointer):
                self._blame(("url",), f"{pointer!r} is no pointer into the call", "{/arguments/<name>}")
            elif self._check_pointer(pointer, ("url",)) and not self._is_required(pointer):
                self._blame(("url",), f"{pointer} may be missing, and a path may not", "make it required in the schema")

    def _check_header(self, name: str, value: Any) -> None:
        place: Path = ("headers", name)
        if not _HEADER.fullmatch(name):
            self._blame(place, f"{name!r} is no name of a header", "", key=True)
        elif name.lower() in _RESERVED or name.lower() == self._implementation.idempotency_header.lower():
            self._blame(place, f"{name!r} is set by the platform", "remove it", key=True)
        elif isinstance(value, SecretHeader):
            if value.secret not in self._tool.spec.secrets:
                self._blame(place, f"{value.secret} is not declared", f"add it to spec.secrets: [{value.secret}]")
        elif name.lower() == "authorization" or is_credential(name.replace("-", "_").lower()):
            self._blame(place, f"{name!r} must hold a reference to a secret", f"{name}: {{secret: NAME}}")
        elif not (value.isascii() and value.isprintable()):
            self._blame(place, "holds what no HTTP header can", "printable ASCII")

    def _check_body(self) -> None:
        body = self._implementation.body
        if body is None:
            return
        if self._implementation.method == "GET":
            self._blame(("body",), "a GET has no body", "put it into the query, or use POST")
        for place, pointer in _taken_in(body, ("body",)):
            if not _TAKEN.fullmatch(pointer):
                self._blame(place, f"{pointer!r} is no pointer into the call", "{from: /arguments/<name>}")
            else:
                self._check_pointer(pointer, place)

    def _check_pointer(self, pointer: str, place: Path) -> bool:
        """Whether what a pointer names is declared: a property of the input's or the params' schema."""
        side, _, rest = pointer[1:].partition("/")
        payload = self._payload(side)
        if payload is None:
            self._blame(place, f"{pointer}: the tool takes no params", "declare spec.params")
            return False
        name = rest.partition("/")[0].replace("~1", "/").replace("~0", "~")
        known = payload.get("properties")
        if not rest or not isinstance(known, dict) or name in known:
            return True
        field = "spec.input" if side == "arguments" else "spec.params"
        self._blame(place, f"{pointer}: {field} has no property {name!r}", did_you_mean(name, known))
        return False

    def _is_required(self, pointer: str) -> bool:
        side, *names = pointer[1:].split("/")
        schema: Any = self._payload(side)
        for name in names:
            key = name.replace("~1", "/").replace("~0", "~")
            if not isinstance(schema, dict) or key not in schema.get("required", ()):
                return False
            schema = schema.get("properties", {}).get(key)
        return bool(names)

    def _payload(self, side: str) -> dict[str, Any] | None:
        spec = self._tool.spec
        payload = spec.input if side == "arguments" else spec.params
        return None if payload is None else payload.schema_

    def _blame(self, place: Path, what: str, hint: str, *, key: bool = False) -> None:
        self._faults.blame(self._tool.path, ("spec", "implementation", *place), what, hint, key=key)


def _is_sound(url: str) -> bool:
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


def _taken_in(value: Any, place: Path) -> Iterator[tuple[Path, str]]:
    """(place, pointer) of each `{from: pointer}` in a body."""
    if isinstance(value, dict):
        if value.keys() == {"from"} and isinstance(value["from"], str):
            yield (*place, "from"), value["from"]
            return
        for key, inner in value.items():
            yield from _taken_in(inner, (*place, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _taken_in(inner, (*place, position))
