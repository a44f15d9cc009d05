"""Records: results and evidence found quickly, approvals and requests as they are stored.

The release store is the truth. The database only indexes it, so every question first takes in what other people and
machines have stored since, and nothing is lost with the database.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from sqlalchemy import Table, delete, select

from penstock.contracts.document import Record
from penstock.contracts.evidence import Approval, Evidence, Request
from penstock.contracts.gate_result import GateResult
from penstock.errors import Invalid, Unavailable
from penstock.store import tables
from penstock.store.database import Database
from penstock.store.releases import ReleaseStore

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Record)
CHUNK = 500


class Records:
    """The records of a release store.

    Raises `Unavailable` when the store cannot be reached, or, for questions about results and evidence, the database;
    what is stored while the database is away is found again once it is back.
    """

    def __init__(self, releases: ReleaseStore, database: Database) -> None:
        self.releases = releases
        self._database = database

    def put_result(self, result: GateResult) -> str:
        """Keeps a sealed result for good; returns its id."""
        digest = self.releases.put_result(result)
        self._index(tables.results, [_result_row(digest, result)])
        return digest

    def results(self, release: str) -> list[GateResult]:
        """All stored results of a release, oldest first."""
        self._take_in(tables.results, self.releases.result_names(), self._result_rows)
        columns = tables.results.c
        return self._found(
            GateResult, select(columns.document).where(columns.release == release).order_by(columns.at, columns.digest)
        )

    def reusable(self, gate: str, inputs_digest: str, origin: str = "released") -> GateResult | None:
        """The newest passed, failed or inconclusive result of a gate that read the same; an errored one is none."""
        self._take_in(tables.results, self.releases.result_names(), self._result_rows)
        columns = tables.results.c
        query = (
            select(columns.document)
            .where(columns.gate == gate, columns.inputs == inputs_digest, columns.origin == origin)
            .order_by(columns.at.desc(), columns.digest)
        )
        found = self._found(GateResult, query)
        return next((result for result in found if result.outcome in {"passed", "failed", "inconclusive"}), None)

    def put_evidence(self, evidence: Evidence) -> str:
        """Keeps the evidence; returns its digest."""
        digest = self.releases.put_evidence(evidence)
        self._index(tables.evidence, [_evidence_row(digest, evidence)])
        return digest

    def evidence(self, release: str) -> list[Evidence]:
        """All stored evidence on a release."""
        self._take_in(tables.evidence, self.releases.evidence_names(), self._evidence_rows)
        columns = tables.evidence.c
        return self._found(
            Evidence, select(columns.document).where(columns.release == release).order_by(columns.digest)
        )

    def put_approval(self, approval: Approval) -> str:
        """Keeps a person's decision; returns its digest."""
        return self.releases.put_approval(approval)

    def approvals(self, evidence: str) -> list[Approval]:
        """All decisions on that evidence, oldest first: few, so the store itself is asked."""
        return self.releases.approvals(evidence)

    def put_request(self, request: Request) -> str:
        """Keeps what a person asks of the driver; returns its digest."""
        return self.releases.put_request(request)

    def put_answer(self, request: str, outcome: str, reason: str) -> None:
        """Closes the request of that digest for good, with what came of it (`done` or `refused`) and why."""
        self.releases.put_answer(request, outcome, reason)

    def open_requests(self) -> list[Request]:
        """The requests that have no answer yet, oldest first: straight from the store, which every side shares."""
        answered = set(self.releases.answers())
        return [request for request in self.releases.requests() if request.digest not in answered]

    def rebuild(self) -> int:
        """Indexes results and evidence of the store anew; returns how many there are."""
        rows: dict[Table, list[dict[str, Any]]] = {
            tables.results: self._result_rows(self.releases.result_names()),
            tables.evidence: self._evidence_rows(self.releases.evidence_names()),
        }
        with self._database.write() as connection:
            for table, found in rows.items():
                connection.execute(delete(table))
                if found:
                    connection.execute(table.insert(), found)
        return sum(len(found) for found in rows.values())

    def _take_in(self, table: Table, names: list[str], rows: Callable[[list[str]], list[dict[str, Any]]]) -> None:
        with self._database.read() as connection:
            known = set(connection.scalars(select(table.c.digest)))
        missing = [name for name in names if name not in known]
        for start in range(0, len(missing), CHUNK):
            found = rows(missing[start : start + CHUNK])
            if found:
                with self._database.write() as connection:
                    connection.execute(self._database.insert(table).on_conflict_do_nothing(), found)

    def _index(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        try:
            with self._database.write() as connection:
                connection.execute(self._database.insert(table).on_conflict_do_nothing(), rows)
        except Unavailable as problem:
            log.warning("stored, but not indexed yet: %s", problem.what)

    def _result_rows(self, names: list[str]) -> list[dict[str, Any]]:
        return [_result_row(name, result) for name in names if (result := _sound(self.releases.get_result, name))]

    def _evidence_rows(self, names: list[str]) -> list[dict[str, Any]]:
        return [_evidence_row(name, found) for name in names if (found := _sound(self.releases.get_evidence, name))]

    def _found(self, shape: type[R], query: Any) -> list[R]:
        with self._database.read() as connection:
            return [shape.model_validate_json(text) for text in connection.scalars(query)]


def _sound(get: Callable[[str], R], name: str) -> R | None:
    """The record; None for a damaged one, which counts as not there and is named in the log."""
    try:
        return get(name)
    except Invalid as problem:
        log.warning("%s", problem)
        return None


def _result_row(digest: str, result: GateResult) -> dict[str, Any]:
    return {
        "digest": digest,
        "release": result.release,
        "gate": result.gate,
        "origin": result.origin,
        "inputs": result.inputs_digest,
        "at": result.finished_at,
        "document": _text(result),
    }


def _evidence_row(digest: str, evidence: Evidence) -> dict[str, Any]:
    return {"digest": digest, "release": evidence.release, "stage": evidence.stage, "document": _text(evidence)}


def _text(record: Record) -> str:
    return orjson.dumps(record.as_document()).decode()
