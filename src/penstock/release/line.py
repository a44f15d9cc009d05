"""The line: the promotions of the whole project, which anybody of it may stop and a release manager starts again."""

from dataclasses import dataclass

from penstock.contracts.line import LineStart, LineStop
from penstock.errors import Refused
from penstock.registry.layout import TEAMS
from penstock.release.clock import now, stamp
from penstock.release.people import line_managers, members_of_all
from penstock.release.urgent import clean_reason
from penstock.release.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Line:
    """What a stop or a start of the line left: the stops that stand."""

    done: str
    stops: tuple[LineStop, ...]

    def as_document(self) -> dict[str, object]:
        """The line as a JSON object."""
        return {"done": self.done, "stops": [stop.as_document() for stop in self.stops]}


def stop_line(workspace: Workspace, reason: str) -> Line:
    """Stops all promotions and canary steps of the project at once; it needs the release store alone.

    Raises `Refused` for who is not in teams.yaml of the base branch as last fetched, `Unavailable` without the store.
    """
    text, person = clean_reason(reason), workspace.person
    _require("stop", person.mail, members_of_all(workspace.teams()))
    workspace.releases.lineage()
    stop = LineStop(who=person.mail, name=person.name, identified_by=person.identified_by, at=stamp(now()), reason=text)
    workspace.releases.put_line_stop(stop)
    return Line("stopped", tuple(workspace.releases.line_stops()))


def start_line(workspace: Workspace, reason: str) -> Line:
    """Lifts every stop of the line.

    Raises `Refused` when there is none, or for who is neither a release manager nor of the platform team.
    """
    text, person = clean_reason(reason), workspace.person
    _require("start", person.mail, line_managers(workspace.teams()))
    stops = workspace.releases.line_stops()
    if not stops:
        raise Refused("the line is not stopped", now="name an agent: `agentctl unhold AGENT`")
    for stop in stops:
        start = LineStart(
            stop=stop.digest,
            who=person.mail,
            name=person.name,
            identified_by=person.identified_by,
            at=stamp(now()),
            reason=text,
        )
        workspace.releases.put_line_start(start)
    return Line("started", tuple(workspace.releases.line_stops()))


def _require(action: str, mail: str, allowed: frozenset[str]) -> None:
    if mail.lower() not in allowed:
        raise Refused(
            f"{mail} may not {action} the line",
            where=TEAMS,
            now=f"ask one of: {', '.join(sorted(allowed)) or 'nobody'}",
        )
