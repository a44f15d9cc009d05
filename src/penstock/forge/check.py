"""The check of a merge request: `agentctl validate` and `check` of its head, as drafts, in a process without secrets.

What the branch's own Python says of itself is shown and never counted, so everything that comes back is read as
strictly as anything from outside.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from penstock.errors import PenstockError
from penstock.forge.connection import Json
from penstock.forge.program import Ended, run_program
from penstock.forge.scratch import Scratch, scratch
from penstock.settings import Settings

Outcome = Literal["passed", "failed", "errored"]
LARGEST_REPORT = 5_000_000
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,100}")
Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check of one head came to. errored = the environment failed: nothing is said about the change.

    `faults` and `versions` are what `validate` and `check` say with --json, `reports` agent@version -> report.json.
    """

    outcome: Outcome
    sentence: str
    faults: tuple[Json, ...] = ()
    versions: tuple[Json, ...] = ()
    reports: dict[str, Json] = field(default_factory=dict)


def check_head(
    settings: Settings, head: str, base: str, *, limit_s: float, cancelled: Cancelled = lambda: False
) -> Verdict:
    """Checks `head` against `base`, both commits of the clone, within `limit_s` seconds. Raises no `PenstockError`."""
    until = time.monotonic() + limit_s
    try:
        with scratch(settings, head, base) as place:
            said = [
                _agentctl(place, [command, "--base", base], until=until, cancelled=cancelled)
                for command in ("validate", "check")
            ]
            return _verdict(place, said)
    except _Broken as error:
        return Verdict("errored", f"environment: {error}")
    except PenstockError as error:
        return Verdict("errored", f"environment: {error.what}")


class _Broken(Exception):
    """A command that gave no answer, and why."""


def _agentctl(place: Scratch, words: list[str], *, until: float, cancelled: Cancelled) -> Json:
    command = [sys.executable, "-I", "-B", "-m", "penstock.cli.main", "--project", str(place.project), *words, "--json"]
    ended = run_program(command, place.folder, place.environment(), until=until, cancelled=cancelled)
    if ended.why:
        raise _Broken(f"{words[0]} was ended: {ended.why}")
    document = _document(ended.out)
    if ended.status not in {0, 1} and not (words[0] == "check" and "versions" in document):
        raise _Broken(f"{words[0]} ended with status {ended.status}: {_why(document, ended)}")
    if not document:
        raise _Broken(f"{words[0]} gave no answer: {_why(document, ended)}")
    return document


def _document(out: bytes) -> Json:
    try:
        document = orjson.loads(out)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _why(document: Json, ended: Ended) -> str:
    error = document.get("error")
    if isinstance(error, dict):
        return str(error.get("what", ""))[:300]
    lines = ended.err.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


def _verdict(place: Scratch, said: list[Json]) -> Verdict:
    faults = _distinct([*_objects(said[0], "faults"), *_objects(said[1], "faults"), *_error_faults(said)])
    versions = tuple(_objects(said[1], "versions"))
    reports = {_name(one): report for one in versions if (report := _report(place, one)) is not None}
    outcome, sentence = _outcome(faults, versions, said)
    return Verdict(outcome, sentence, faults, versions, reports)


def _outcome(faults: tuple[Json, ...], versions: tuple[Json, ...], said: list[Json]) -> tuple[Outcome, str]:
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return "failed", f"{_fault_line(faults[0])}{more}"
    for wanted in ("failed", "missing", "inconclusive", "errored"):
        found = [one for one in versions if one.get("verdict") == wanted]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            told = f"{_name(found[0])}: {found[0].get('sentence', wanted)}{more}"
            return ("errored", f"environment: {told}") if wanted == "errored" else ("failed", told)
    errors = [one["error"] for one in said if isinstance(one.get("error"), dict)]
    if errors:
        return "failed", str(errors[0].get("what", "the check was refused"))
    if not versions:
        return "passed", "valid; no agent's version is touched"
    return "passed", f"{', '.join(_name(one) for one in versions[:5])}: all gates passed"


def _fault_line(fault: Json) -> str:
    return f"{fault.get('path', '?')}:{fault.get('line', 0)}: {fault.get('what', '')}"


def _name(version: Json) -> str:
    return f"{version.get('agent', '?')}@{version.get('version', '?')}"


def _objects(document: Json, key: str) -> list[Json]:
    found = document.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _error_faults(said: list[Json]) -> list[Json]:
    return [fault for one in said if isinstance(one.get("error"), dict) for fault in _objects(one["error"], "faults")]


def _distinct(faults: list[Json]) -> tuple[Json, ...]:
    return tuple({orjson.dumps(fault, option=orjson.OPT_SORT_KEYS): fault for fault in faults}.values())


def _report(place: Scratch, version: Json) -> Json | None:
    """report.json of a draft, below the checkout's reports/."""
    agent, number = str(version.get("agent", "")), str(version.get("version", ""))
    if not (_PART.fullmatch(agent) and _PART.fullmatch(number)):
        return None
    return read_plain(place.project / "reports" / agent / number / "draft" / "report.json", place.folder)


def read_plain(file: Path, within: Path) -> Json | None:
    """A JSON object from a plain file, no larger than a report is; None for all else, a link out of `within` too."""
    try:
        if not file.resolve(strict=True).is_relative_to(within.resolve()):
            return None
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            data = opened.read(LARGEST_REPORT + 1)
    except OSError:
        return None
    document: Any = _document(data) if len(data) <= LARGEST_REPORT else {}
    return document or None
