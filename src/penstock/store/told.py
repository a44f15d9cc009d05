"""Marks of the generations whose changes were told to the outside, beside the tables in the release store."""

from datetime import UTC, datetime

import orjson

from penstock.errors import Invalid
from penstock.store.clock import now
from penstock.store.objects import ObjectStore

FOLDER = "told/"
BEGIN = "told/begin.json"
TRIAL = "told/trial.json"


class ToldGenerations:
    """Each mark is written once. A mark of generation g says that everything from the begin up to g was told.

    So any number of tellers may work at once: the highest mark of any of them holds for all. Methods raise
    `Unavailable` when the store cannot be reached.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def last(self) -> int | None:
        """The generation up to which everything was told; None before the first use."""
        names = self._objects.list(FOLDER)
        marks = [int(stem) for name in names if (stem := _stem(name)).isascii() and stem.isdigit()]
        if BEGIN in names:
            marks.append(self._begun())
        return max(marks, default=None)

    def begin(self, generation: int) -> int:
        """Says that nothing up to `generation` is to be told; returns what whoever came first said."""
        self._objects.create(BEGIN, orjson.dumps({"generation": generation, "at": now()}))
        return self._begun()

    def mark(self, generation: int) -> None:
        """Everything up to `generation` was told."""
        self._objects.create(_name(generation), orjson.dumps({"generation": generation, "at": now()}))

    def mark_part(self, generation: int, agent: str) -> None:
        """Everything before `generation` was told, and of it the agents up to `agent`, by name."""
        self._objects.create(f"{_part(generation)}{agent}.json", orjson.dumps({"agent": agent, "at": now()}))

    def part(self, generation: int) -> str:
        """The last agent of `generation` that was told by a teller who had no time for more; empty if none."""
        return max((name.rsplit("/", 1)[1].removesuffix(".json") for name in self._parts(generation)), default="")

    def begin_trial(self) -> None:
        """Somebody tries to tell something from now on."""
        self._objects.replace_hint(TRIAL, orjson.dumps({"at": now()}))

    def end_trial(self) -> None:
        """It went well."""
        self._objects.replace_hint(TRIAL, orjson.dumps({"at": None}))

    def open_trial_s(self) -> float | None:
        """Seconds since the last trial began, if it did not go well or has not ended; only a hint."""
        try:
            at = orjson.loads(self._objects.get(TRIAL) or b"{}").get("at")
            return abs((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()) if at else None
        except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
            return None

    def _parts(self, generation: int) -> list[str]:
        return self._objects.list(_part(generation))

    def _begun(self) -> int:
        data = self._objects.get(BEGIN)
        try:
            return int(orjson.loads(data or b"")["generation"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise Invalid(
                "does not say where telling began",
                where=f"{self._objects.url}/{BEGIN}",
                now="remove it, then `agentctl notify --skip`: telling begins anew at the table in force",
            ) from None


def _name(generation: int) -> str:
    return f"{FOLDER}{generation:012d}.json"


def _part(generation: int) -> str:
    return f"{FOLDER}{generation:012d}/"


def _stem(name: str) -> str:
    return name.removeprefix(FOLDER).removesuffix(".json")
