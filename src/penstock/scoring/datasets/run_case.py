"""A case made of a stored production run: redacted before anything of it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.json_schema import instance_faults
from penstock.engine.journal import Journal
from penstock.errors import Conflict, Fault, Invalid, NotFound, Refused
from penstock.governance.redaction import Redacted, redact
from penstock.registry.case_lines import read_case_lines
from penstock.registry.document_faults import pointer
from penstock.store.runs import RunStore

TAG = "from-run"
HALF = 0.5
_ID_LENGTH = 12
_HEAD, _TAIL = 1, 1  # the system prompt before a history, the input after it


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is stored of one live run: the input, the messages before it, the calls of its tools, its output.

    `writes` are the (digest, n) of calls that changed something. `output` of a run that did not finish is None.
    """

    run_id: str
    status: str
    input: Any
    history: Sequence[Mapping[str, Any]]
    journal: Journal
    writes: frozenset[tuple[str, int]]
    output: Any

    @classmethod
    def read(cls, runs: RunStore, run_id: str) -> "RunRecord":
        """Raises `NotFound` for no such run or one whose payloads are gone, `Refused` for one that was not live."""
        run = runs.run(run_id)
        where = f"run {run_id}"
        if run is None:
            raise NotFound("there is no such run in the database", where=where, now="see `agentctl runs`")
        if run["mode"] != "live":
            now = "take a run of production: `agentctl runs --stage prod`"
            raise Refused(f"it is a run of mode {run['mode']}: nobody asked for it", where=where, now=now)
        bodies: dict[str, list[Any]] = {}
        for payload in runs.payloads(run_id):
            bodies.setdefault(payload.role, []).append(payload.body)
        if "input" not in bodies:
            raise NotFound("its payloads are not stored (any more)", where=where, now="take another run")
        messages = bodies.get("messages", [[]])[0]
        started = [event["data"] for event in runs.events(run_id) if event["type"] == "tool.started"]
        return cls(
            run_id=run_id,
            status=run["status"],
            input=bodies["input"][0],
            history=messages[_HEAD:-_TAIL],
            journal=Journal.from_entries(bodies.get("journal", [])),
            writes=frozenset((data["digest"], data["n"]) for data in started if data.get("sideEffects") == "write"),
            output=bodies["output"][0] if "output" in bodies else None,
        )

    @property
    def provenance(self) -> str:
        """Names the run by the digest of its id: it can be recognised, and leads nobody to it."""
        return f"run {digest_bytes(self.run_id.encode())}"

    def fixtures(self) -> dict[str, list[Any]]:
        """Tool -> the results of its writing calls, in their order."""
        found: dict[str, list[Any]] = {}
        for entry in self._results():
            if (entry.digest, entry.n) in self.writes:
                found.setdefault(entry.request["name"], []).append(entry.response["result"])
        return found

    def context(self) -> list[dict[str, Any]]:
        """What the tools told the agent."""
        return [{"tool": entry.request["name"], "result": entry.response["result"]} for entry in self._results()]

    def _results(self) -> list[Any]:
        return [one for one in self.journal.entries if one.door == "tool" and "result" in one.response]


def run_case(
    record: RunRecord,
    *,
    name: str | None = None,
    expected: Any = None,
    has_expected: bool = False,
    context: bool = False,
    tags: Sequence[str] = (),
) -> Redacted:
    """The redacted case of a run as a JSON object, and what was found in it. `name` is its id, else made of the run's.

    `tags` are what was said of the run (`said_tags`). Raises `NotRedacted`.
    """
    made: dict[str, Any] = {
        "id": name or f"run-{record.provenance.partition(':')[2][:_ID_LENGTH]}",
        "input": record.input,
    }
    if has_expected:
        made["expected"] = expected
    if context:
        made["context"] = record.context()
    fixtures = record.fixtures()
    if fixtures:
        made["fixtures"] = fixtures
    if record.history:
        made["history"] = [dict(message) for message in record.history]
    done = redact(made)
    return Redacted({**done.value, "tags": [TAG, *tags], "provenance": record.provenance}, done.found)


def said_tags(scores: Mapping[str, float], ratings: Sequence[float]) -> list[str]:
    """What was said of a run, as slices of a report: by online scorers (0 to 1, by their names) and by users (-1 to 1).

    `quality-low` is below one half; `rated-down` and `rated-up` go by the mean of the ratings, 0 says nothing.
    """
    judged = [f"{scorer}-{'low' if value < HALF else 'high'}" for scorer, value in sorted(scores.items())]
    mean = sum(ratings) / len(ratings) if ratings else 0.0
    return [*judged, *(["rated-up"] if mean > 0 else ["rated-down"] if mean < 0 else [])]


def require_addable(path: str, before: bytes, case: Mapping[str, Any], schema: dict[str, Any]) -> None:
    """Raises `Conflict` for an id or a run that is in the dataset, `Invalid` for an input that its schema refuses."""
    lines, faults = read_case_lines(path, before)
    if faults:
        raise Invalid("the dataset has faults", where=path, now="mend the lines", faults=faults)
    for one in lines:
        if one.case.provenance == case["provenance"]:
            raise Conflict("the run is in the dataset already", where=f"{path}:{one.line}", now=f"case {one.case.id!r}")
        if one.case.id == case["id"]:
            raise Conflict(
                f"id {case['id']!r} is in the dataset already", where=f"{path}:{one.line}", now="choose --id"
            )
    broken = [
        Fault(
            path, 0, 0, pointer(("input", *where)), str(redact(what).value), "redacted input; see the dataset's schema"
        )
        for where, what in instance_faults(schema, case["input"])
    ]
    if broken:
        now = "take another run or another dataset, or write the case by hand"
        raise Invalid("the run's input does not fit the dataset", where=path, now=now, faults=broken)
