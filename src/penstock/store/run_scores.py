"""Scores of live runs: claimed by one worker, then scored once, or failed and tried again later.

Whoever wants to score a run claims it first, for a time. So two workers never pay for the same score, and what a
worker that died had claimed is taken over when its time is up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, and_, case, delete, exists, func, select, update

from penstock.store import tables
from penstock.store.clock import moment, now
from penstock.store.database import Database

State = Literal["claimed", "scored", "failed"]
_FACTS = ("value", "kind", "attempts")


@dataclass(frozen=True, slots=True)
class LiveRunRow:
    """A live run that ended; `failure` is the code of its error, None of a finished one."""

    run_id: str
    release: str
    stage: str
    failure: str | None


@dataclass(frozen=True, slots=True)
class ScoreKey:
    """One scorer's look at one run; `identity` is the digest of scorer, parameters and judge."""

    run_id: str
    scorer: str
    identity: str
    agent: str
    release: str
    stage: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to score until `until`; `attempts`, `errors` and `cost_usd` tell of earlier ones."""

    key: ScoreKey
    until: str
    attempts: int
    errors: tuple[Mapping[str, Any], ...]
    cost_usd: float


@dataclass(frozen=True, slots=True)
class RunScore:
    """One row; `value` None = a label, or no score (yet). `document` has value, kind, reason, details, errors."""

    run_id: str
    scorer: str
    identity: str
    state: State
    value: float | None
    cost_usd: float
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spent:
    """What scores cost together, USD, and how many there are whose cost is not known."""

    usd: float
    unpriced: int = 0


class RunScoreStore:
    """Reads and writes scores of live runs. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ended_runs(self, agent: str, since: str, *, release: str = "", stage: str = "") -> list[LiveRunRow]:
        """Live runs that finished or failed and started since then, oldest first; those without payloads are left out.

        `since` is RFC 3339; `release` and `stage` narrow the choice where they are given.
        """
        runs = tables.runs.c
        deleted = exists().where(tables.payload_deletions.c.run_id == runs.run_id)
        query = (
            select(runs.run_id, runs.release, runs.stage, case((runs.status != "finished", runs.document), else_=None))
            .where(runs.agent == agent, runs.mode == "live", runs.started_at >= moment(since))
            .where(runs.status.in_(("finished", "failed", "timed_out")), ~deleted)
            .order_by(runs.started_at, runs.run_id)
        )
        if release:
            query = query.where(runs.release == release)
        if stage:
            query = query.where(runs.stage == stage)
        with self._database.read() as connection:
            return [LiveRunRow(row[0], row[1], row[2], _failure(row[3])) for row in connection.execute(query)]

    def states(self, agent: str, scorer: str, since: str) -> dict[str, tuple[State, str | None]]:
        """Run -> (state, due) of a scorer, of the agent's runs that started since then."""
        columns, runs = tables.run_scores.c, tables.runs.c
        query = (
            select(columns.run_id, columns.state, columns.due)
            .join(tables.runs, runs.run_id == columns.run_id)
            .where(columns.agent == agent, columns.scorer == scorer, runs.started_at >= moment(since))
        )
        with self._database.read() as connection:
            return {row.run_id: (row.state, row.due) for row in connection.execute(query)}

    def claim(self, key: ScoreKey, until: str) -> Claim | None:
        """The right to score this, if nobody has it and it is neither scored nor given up nor to be tried only later.

        `until` is when others may take it over.
        """
        columns, at = tables.run_scores.c, now()
        fresh = {
            "run_id": key.run_id,
            "scorer": key.scorer,
            "identity": key.identity,
            "agent": key.agent,
            "release": key.release,
            "stage": key.stage,
            "state": "claimed",
            "due": until,
            "at": at,
            "cost_usd": 0.0,
            "document": "{}",
        }
        ours = and_(columns.run_id == key.run_id, columns.scorer == key.scorer)
        is_due = and_(ours, columns.state != "scored", columns.due <= at)
        with self._database.write() as connection:
            insert = self._database.insert(tables.run_scores).values(**fresh).on_conflict_do_nothing()
            if connection.scalar(insert.returning(columns.run_id)) is not None:
                return Claim(key, until, 0, (), 0.0)
            change = update(tables.run_scores).where(is_due)
            taken = connection.execute(change.values(state="claimed", due=until, at=at, identity=key.identity))
            if taken.rowcount != 1:
                return None
            row = connection.execute(select(columns.document, columns.cost_usd).where(ours)).one()
        earlier = orjson.loads(row.document)
        return Claim(key, until, int(earlier.get("attempts", 0)), tuple(earlier.get("errors", ())), row.cost_usd or 0.0)

    def put_score(self, claim: Claim, value: float | None, cost_usd: float | None, document: Mapping[str, Any]) -> bool:
        """Keeps a score for good; `cost_usd` is of this attempt, None = not known.

        False if the claim was taken over meanwhile.
        """
        told = {**document, "attempts": claim.attempts + 1, "errors": list(claim.errors)}
        return self._settle(claim, "scored", value=value, due=None, cost_usd=cost_usd, document=told)

    def put_failure(self, claim: Claim, what: str, cost_usd: float | None, due: str | None) -> bool:
        """Keeps why there is no score, and when it is tried again (None = never)."""
        errors = [*claim.errors, {"at": now(), "what": what}]
        told = {"attempts": claim.attempts + 1, "errors": errors}
        return self._settle(claim, "failed", value=None, due=due, cost_usd=cost_usd, document=told)

    def give_back(self, claim: Claim) -> None:
        """Lets others claim it at once: nothing was asked."""
        ours = self._claimed(claim)
        with self._database.write() as connection:
            if claim.attempts:
                connection.execute(update(tables.run_scores).where(ours).values(state="failed", due=now()))
            else:
                connection.execute(delete(tables.run_scores).where(ours))

    def spent(self, agent: str, since: str) -> Spent:
        """What the agent's scores cost that were last touched since then."""
        columns = tables.run_scores.c
        cost = columns.cost_usd
        query = select(func.sum(cost), func.count() - func.count(cost))
        with self._database.read() as connection:
            row = connection.execute(query.where(columns.agent == agent, columns.at >= moment(since))).one()
        return Spent(float(row[0] or 0.0), int(row[1]))

    def scores(self, agent: str, release: str, stage: str, since: str) -> list[RunScore]:
        """All rows of a release's runs at a stage that started since then, in the order in which they were written."""
        columns, runs = tables.run_scores.c, tables.runs.c
        query = (
            select(tables.run_scores)
            .join(tables.runs, runs.run_id == columns.run_id)
            .where(columns.agent == agent, columns.release == release, columns.stage == stage)
            .where(runs.started_at >= moment(since))
            .order_by(columns.at, columns.run_id)
        )
        with self._database.read() as connection:
            return [_score(row) for row in connection.execute(query)]

    def of_run(self, run_id: str) -> list[RunScore]:
        """What the scorers saw of one run, by the scorer's name."""
        columns = tables.run_scores.c
        query = select(tables.run_scores).where(columns.run_id == run_id).order_by(columns.scorer)
        with self._database.read() as connection:
            return [_score(row) for row in connection.execute(query)]

    def _claimed(self, claim: Claim) -> Any:
        columns = tables.run_scores.c
        ours = and_(columns.run_id == claim.key.run_id, columns.scorer == claim.key.scorer)
        return and_(ours, columns.state == "claimed", columns.due == claim.until)

    def _settle(self, claim: Claim, state: State, **values: Any) -> bool:
        document = orjson.dumps(values.pop("document")).decode()
        added = values.pop("cost_usd")
        cost_usd = None if added is None else claim.cost_usd + added
        change = update(tables.run_scores).where(self._claimed(claim))
        settled = change.values(state=state, at=now(), cost_usd=cost_usd, document=document, **values)
        with self._database.write() as connection:
            return connection.execute(settled).rowcount == 1


def drop_reasons(connection: Connection, run_id: str) -> None:
    """Takes out of a run's scores what may quote its contents; the values stay."""
    columns = tables.run_scores.c
    rows = connection.execute(select(columns.scorer, columns.document).where(columns.run_id == run_id)).all()
    for row in rows:
        document = {name: value for name, value in orjson.loads(row.document).items() if name in _FACTS}
        change = update(tables.run_scores).where(columns.run_id == run_id, columns.scorer == row.scorer)
        connection.execute(change.values(document=orjson.dumps(document).decode()))


def _score(row: Any) -> RunScore:
    cost_usd = row.cost_usd or 0.0
    return RunScore(row.run_id, row.scorer, row.identity, row.state, row.value, cost_usd, orjson.loads(row.document))


def _failure(document: str | None) -> str | None:
    if document is None:
        return None
    return str((orjson.loads(document).get("error") or {}).get("code", "unknown"))
