"""The fleet: what each executor says is in force in it, held against the routing table in force."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from penstock.contracts.routing_table import RoutingTable
from penstock.errors import Invalid, NotFound, PenstockError
from penstock.release.clock import moment_of, now
from penstock.release.workspace import Workspace
from penstock.store.releases import ReleaseStore

if TYPE_CHECKING:
    from penstock.store.executors import Beat, Heard

SILENT_S = 30.0
GRACE_S = 8.0
"""A table younger than this is on its way: longer than an executor's beat, so that what it said last is of after it."""

State = Literal["follows", "behind", "ahead", "elsewhere", "stuck", "silent"]
Since = Callable[[int], float]
"""For how many seconds there has been a table after the one of that generation."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One executor. `sentence` says what is wrong with it, empty while nothing is.

    behind: an older table is in force in it; ahead: a newer one than there is; elsewhere: another release store's;
    stuck: the right one, and it cannot follow; silent: not heard for 30 s, which may only be the database.
    """

    heard: "Heard"
    state: State
    sentence: str = ""

    def as_document(self) -> dict[str, Any]:
        """The executor as a JSON object."""
        beat = asdict(self.heard.beat)
        age_s = beat.pop("table_age_s")
        return {**beat, "tableAgeS": age_s, "heardSecondsAgo": round(self.heard.ago_s, 1), "state": self.state}

    def __str__(self) -> str:
        beat = self.heard.beat
        table = f"generation {beat.generation}" if beat.generation is not None else "no table"
        return f"{_name(beat)}: {table}, {self.state}, heard {self.heard.ago_s:.0f} s ago"


@dataclass(frozen=True, slots=True)
class Fleet:
    """All executors that spoke within a day. `unknown` says why nothing is known of them: that is no empty fleet."""

    executors: tuple[Seen, ...] = ()
    unknown: str = ""

    @property
    def drift(self) -> list[str]:
        """A sentence for each executor in which something else is in force than was published."""
        return [one.sentence for one in self.executors if one.sentence and one.state != "silent"]

    @property
    def notes(self) -> list[str]:
        """What is worth a look and no drift: who is silent, or that nothing is known."""
        silent = [one.sentence for one in self.executors if one.state == "silent"]
        return [f"what executors serve is not known: {self.unknown}"] if self.unknown else silent

    def as_document(self) -> list[dict[str, Any]] | None:
        """The executors as a JSON list; None when nothing is known of them."""
        return None if self.unknown else [one.as_document() for one in self.executors]


def read_fleet(workspace: Workspace) -> Fleet:
    """What the executors last said; a database or a store that cannot be read is told as such, and makes nothing."""
    from penstock.store.database import is_missing
    from penstock.store.executors import ExecutorStore

    try:
        if is_missing(workspace.settings.database):
            raise NotFound("there is no database yet", where=workspace.settings.database)
        heard = ExecutorStore(workspace.database).heard()
        table = workspace.releases.newest_table()  # after the beats: none of them can be of a newer one
    except PenstockError as error:
        return Fleet(unknown=error.what)
    if table is None:
        return Fleet(tuple(Seen(one, "follows") for one in heard))
    return Fleet(tuple(judge(one, table, lambda older: _since(workspace.releases, table, older)) for one in heard))


def judge(heard: "Heard", table: RoutingTable, since: Since) -> Seen:
    """How one executor stands to the table in force."""
    beat = heard.beat
    name, has = _name(beat), f"generation {beat.generation}" if beat.generation is not None else "no routing table"
    because = f": {beat.problem}" if beat.problem else ""
    if heard.ago_s > SILENT_S:
        return Seen(heard, "silent", f"{name} is silent since {heard.ago_s:.0f} s; it had {has} in force")
    if beat.lineage is not None and beat.lineage != table.lineage:
        what = f"{name} follows a release store of lineage {beat.lineage}, this one is of {table.lineage}"
        return Seen(heard, "elsewhere", f"{what}: `agentctl routes adopt` there, if that is meant")
    if (beat.generation or 0) > table.generation:
        return Seen(
            heard, "ahead", f"{name} has {has} in force, and the store ends at {table.generation}: it went back"
        )
    if (beat.generation or 0) < table.generation:
        late_s = since(beat.generation or 0)
        what = f"{name} has {has} in force, {table.generation} is published, and it is behind since {late_s:.0f} s"
        return Seen(heard, "behind", what + because) if late_s > GRACE_S else Seen(heard, "behind")
    if beat.problem and (beat.table_age_s is None or beat.table_age_s > GRACE_S):
        age = f"since {beat.table_age_s:.0f} s" if beat.table_age_s is not None else "since its start"
        return Seen(heard, "stuck", f"{name} cannot follow the release store {age}{because}")
    return Seen(heard, "follows")


def _since(releases: ReleaseStore, table: RoutingTable, older: int) -> float:
    """Counted from the first table that the executor lacks: publishing often must not hide one that is stuck."""
    try:
        first = releases.table(older + 1) if older else None
    except Invalid:
        first = None
    published = moment_of((first or table).created_at) or datetime.fromtimestamp(0, UTC)
    return max(0.0, (now() - published).total_seconds())


def _name(beat: "Beat") -> str:
    return f"executor {beat.url} ({beat.host}, process {beat.pid})"
