"""What the archive's objects hold: facts of many runs in one, the contents of each run in one of its own.

Both are JSON lines, compressed by gzip without a time, so that the same rows give the same bytes.
"""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from penstock.errors import Unavailable

SCHEMA = "penstock.dev/archive/v1"
INDEX = ".index.json"
_NAMED_HEX = 16


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """The facts of a run. `run` None = it has no end: its process died. `facts` are ratings and scores, no words."""

    run_id: str
    run: dict[str, Any] | None
    events: list[dict[str, Any]] = field(default_factory=list)
    intents: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def joined(self, other: "ArchivedRun") -> "ArchivedRun":
        """Both together: what came late may be archived in a second object."""
        events = {event["id"]: event for event in (*self.events, *other.events)}
        ordered = sorted(events.values(), key=lambda event: (event.get("attempt", 1), event["seq"]))
        intents = {intent["callId"]: intent for intent in (*self.intents, *other.intents)}
        return ArchivedRun(
            self.run_id, other.run or self.run, ordered, list(intents.values()), {**self.facts, **other.facts}
        )


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """What stands in one object of facts. `contents` is run -> digest of its contents, None where it has none."""

    name: str
    digest: str
    size_bytes: int
    contents: dict[str, str | None]

    @property
    def object(self) -> str:
        """The name of the object that this is the index of."""
        return f"{self.name.removesuffix(INDEX)}.jsonl.gz"

    def written(self) -> bytes:
        """The index as bytes."""
        runs = [{"runId": run_id, "contents": digest} for run_id, digest in sorted(self.contents.items())]
        document = {"schema": SCHEMA, "object": self.object, "digest": self.digest, "bytes": self.size_bytes}
        return orjson.dumps({**document, "runs": runs}, option=orjson.OPT_INDENT_2)

    @classmethod
    def read(cls, name: str, data: bytes) -> "ArchiveIndex":
        """The index of that name; raises `Unavailable` for what is none."""
        try:
            document = orjson.loads(data)
            contents = {run["runId"]: run["contents"] for run in document["runs"]}
            return cls(name, document["digest"], document["bytes"], contents)
        except (ValueError, KeyError, TypeError):
            raise damaged(name) from None


def batch_stem(run_ids: Iterable[str], data: bytes) -> str:
    """The name of an object of facts without its folder and ending: it says which ids can be in it."""
    ids = sorted(run_ids)
    return f"{ids[0]}.{ids[-1]}.{sha256(data).hexdigest()[:_NAMED_HEX]}"


def may_hold(name: str, run_id: str) -> bool:
    """Whether an object of facts of that name can hold the run."""
    first, _, rest = name.rpartition("/")[2].partition(".")
    return first <= run_id <= rest.partition(".")[0]


def write_facts(runs: Iterable[ArchivedRun]) -> bytes:
    """One line a run."""
    return _compressed(
        {
            "runId": one.run_id,
            "run": one.run,
            "events": one.events,
            "intents": one.intents,
            "facts": one.facts,
        }
        for one in runs
    )


def read_facts(name: str, data: bytes, run_id: str) -> ArchivedRun:
    """The run in an object of facts; raises `Unavailable` where it is not in it."""
    for line in lines(name, data):
        if line.get("runId") == run_id:
            return ArchivedRun(run_id, line["run"], line["events"], line["intents"], line["facts"])
    raise damaged(name)


def write_contents(found: Iterable[dict[str, Any]]) -> bytes:
    """One line a payload, and one each for what was said about them."""
    return _compressed(found)


def together(kept: Iterable[dict[str, Any]], found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Contents that were archived before, and those of them that came since: what is kept may say more."""
    joined = {_content_key(line): line for line in kept}
    for line in found:
        joined.setdefault(_content_key(line), line)
    return list(joined.values())


def lines(name: str, data: bytes) -> list[dict[str, Any]]:
    """The lines of an object; raises `Unavailable` where it cannot be read."""
    try:
        return [orjson.loads(line) for line in gzip.decompress(data).splitlines()]
    except (OSError, EOFError, zlib.error, ValueError):
        raise damaged(name) from None


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of an object."""
    return f"sha256:{sha256(data).hexdigest()}"


def damaged(name: str) -> Unavailable:
    """The error of an object that is not what was archived."""
    return Unavailable(
        "an object of the archive is not what was written",
        where=name,
        now="`agentctl archive verify` names all of them; bring them back from a copy",
    )


def _content_key(line: dict[str, Any]) -> tuple[str, Any]:
    if "ref" in line:
        return "ref", (line["role"], line["ref"])
    return ("feedback", line["feedback"].get("user")) if "feedback" in line else ("score", line["score"]["scorer"])


def _compressed(documents: Iterable[dict[str, Any]]) -> bytes:
    written = b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in documents)
    return gzip.compress(written, mtime=0)
