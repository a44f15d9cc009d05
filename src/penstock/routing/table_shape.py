"""The shape of a routing table, checked by hand: an executor reads a table of a thousand agents in milliseconds.

It refuses what the contract (`penstock.contracts.routing_table`) refuses; a test holds the two together. The models
themselves are made per agent, when somebody asks for it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from penstock.contracts.document import DIGEST_PATTERN, VERSION_PATTERN
from penstock.contracts.routing_table import ROUTING_SCHEMA
from penstock.errors import Invalid

_is_digest = re.compile(DIGEST_PATTERN.removesuffix("$") + r"\Z").match
_VERSION = re.compile(VERSION_PATTERN.removesuffix("$") + r"\Z")
_STATUS = ("active", "frozen", "disabled")  # tuples: what is looked up may be of any kind
_STICKY = ("session", "user", "tenant")
WHOLE_BP = 10_000
Document = dict[str, Any]


class _Fault(Exception):
    """Something is not as the contract says; holds the place and what."""


def read_table(data: bytes, where: str) -> Document:
    """The table in `data` as a JSON object of the contract's shape; raises `Invalid` naming the place."""
    try:
        document = orjson.loads(data)
        _check_table(document)
    except orjson.JSONDecodeError as error:
        raise _incomplete(f"it is cut short or no JSON: {error}", where) from None
    except _Fault as fault:
        raise _incomplete(str(fault), where) from None
    return document  # type: ignore[no-any-return]


def named_releases(document: Document) -> Iterator[str]:
    """The digests of all releases that the table can send a request to, each as often as it is named."""
    for routes in document.get("agents", {}).values():
        for place in ("prod", "canary", "previous"):
            if routes.get(place) is not None:
                yield routes[place]["release"]
        for place in ("dev", "draining"):
            for entry in routes.get(place, ()):
                yield entry["release"]


def _check_table(table: Any) -> None:
    if type(table) is not dict:
        raise _Fault("it is no object")
    if table.get("schema", ROUTING_SCHEMA) != ROUTING_SCHEMA:
        raise _Fault(f"schema is not {ROUTING_SCHEMA}")
    _text(table, "lineage", "")
    _text(table, "createdAt", "")
    generation = table.get("generation")
    if type(generation) is not int or generation < 1:
        raise _Fault("generation is no positive integer")
    _check_source(table.get("source"))
    for name, routes in _object(table, "agents", "").items():
        _check_routes(routes, f"agents.{name}")
    for name, entries in _object(table, "overlay", "").items():
        if type(entries) is not list:
            raise _Fault(f"overlay.{name} is no list")
        for entry in entries:
            _check_overlay(entry, f"overlay.{name}")
    for resource, order in _object(table, "breakers", "").items():
        _check_breaker(order, f"breakers.{resource}")


def _check_source(source: Any) -> None:
    if type(source) is not dict or "commit" not in source:
        raise _Fault("source is not whole")
    _text_or_none(source, "commit", "source")
    _text(source, "kind", "source")
    _text(source, "actor", "source")
    _text(source, "reason", "source", required=False)
    previous = source.get("previousGeneration")
    if previous is not None and type(previous) is not int:
        raise _Fault("source.previousGeneration is no integer")


def _check_routes(routes: Any, at: str) -> None:
    if type(routes) is not dict:
        raise _Fault(f"{at} is no object")
    if routes.get("status", "active") not in _STATUS or routes.get("stickyBy", "session") not in _STICKY:
        raise _Fault(f"{at}: status or stickyBy is none that is known")
    _text_or_none(routes, "commit", at)
    for place in ("prod", "canary", "previous"):
        if routes.get(place) is not None:
            _check_entry(routes[place], at, place)
    if routes.get("canary") is not None:
        _check_canary(routes["canary"], at)
    for entry in _list(routes, "dev", at):
        _check_entry(entry, at, "dev")
    for entry in _list(routes, "draining", at):
        _check_entry(entry, at, "draining")
        _text(entry, "until", at)
    _check_retired(routes, at)


def _check_retired(routes: Document, at: str) -> None:
    for version in (*_list(routes, "deprecated", at), *_list(routes, "disabled", at)):
        if type(version) is not str or not _is_version(version):
            raise _Fault(f"{at}: {version!r} is no version")
    for digest in _list(routes, "quarantined", at):
        _check_digest(digest, at)
    if routes.get("hold") is not None and type(routes["hold"]) is not dict:
        raise _Fault(f"{at}.hold is no object")
    if routes.get("degraded") is not None:
        _check_degraded(routes["degraded"], f"{at}.degraded")


def _check_degraded(degraded: Any, at: str) -> None:
    if type(degraded) is not dict:
        raise _Fault(f"{at} is no object")
    for field in ("model", "by", "since", "reason"):
        _text(degraded, field, at)


def _check_entry(entry: Any, at: str, place: str) -> None:
    if type(entry) is not dict:
        raise _Fault(f"{at}.{place} is no object")
    version, release = entry.get("version"), entry.get("release")
    if type(version) is not str or not _is_version(version):
        raise _Fault(f"{at}.{place}.version is no version")
    if type(release) is not str or not _is_digest(release):
        raise _Fault(f"{at}.{place}.release is no digest")
    if type(entry.get("runtime")) is not str:
        raise _Fault(f"{at}.{place}.runtime is no text")


def _check_canary(canary: Any, at: str) -> None:
    weight = canary.get("weightBp")
    if type(weight) is not int or not 0 <= weight <= WHOLE_BP:
        raise _Fault(f"{at}.canary.weightBp is not from 0 to {WHOLE_BP}")
    _text(canary, "salt", at)
    _text(canary, "since", at, required=False)
    if type(canary.get("step", 1)) is not int:
        raise _Fault(f"{at}.canary.step is no integer")
    for allowed in _object(canary, "allow", at).values():
        if type(allowed) is not list or any(type(item) is not str for item in allowed):
            raise _Fault(f"{at}.canary.allow holds no list of texts")


def _check_overlay(entry: Any, at: str) -> None:
    if type(entry) is not dict:
        raise _Fault(f"{at} is no object")
    for name in ("id", "actor", "reason", "at"):
        _text(entry, name, at)
    _object(entry, "set", at)
    quarantine = _object(entry, "quarantine", at)
    for digest in (*_list(quarantine, "add", at), *_list(quarantine, "remove", at)):
        _check_digest(digest, at)


def _check_breaker(order: Any, at: str) -> None:
    if type(order) is not dict or order.get("state") not in ("open", "closed"):
        raise _Fault(f"{at}: state is none that is known")
    for name in ("actor", "reason", "at"):
        _text(order, name, at)


def _check_digest(digest: Any, at: str) -> None:
    if type(digest) is not str or not _is_digest(digest):
        raise _Fault(f"{at}: {digest!r} is no digest")


def _text(document: Document, name: str, at: str, *, required: bool = True) -> None:
    value = document.get(name, None if required else "")
    if type(value) is not str:
        raise _Fault(f"{at}{'.' if at else ''}{name} is no text")


def _text_or_none(document: Document, name: str, at: str) -> None:
    value = document.get(name)
    if value is not None and type(value) is not str:
        raise _Fault(f"{at}.{name} is no text")


def _object(document: Document, name: str, at: str) -> Document:
    value = document.get(name, _EMPTY)
    if type(value) is not dict:
        raise _Fault(f"{at}{'.' if at else ''}{name} is no object")
    return value


def _list(document: Document, name: str, at: str) -> list[Any]:
    value = document.get(name, _NONE)
    if type(value) is not list:
        raise _Fault(f"{at}.{name} is no list")
    return value


@lru_cache(maxsize=4096)
def _is_version(text: str) -> bool:
    return _VERSION.match(text) is not None


def _incomplete(what: str, where: str) -> Invalid:
    return Invalid(
        f"the routing table is not complete: {what}",
        where=where,
        now="the last good table stays in force; the next publish goes past it",
    )


_EMPTY: Document = {}
_NONE: list[Any] = []
