"""The database: an index over the release store, and the home of runs, sessions and the catalog.

SQLite in one file by default, PostgreSQL by URL. All work is synchronous; event loops call it from a thread.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from penstock.errors import Invalid, Unavailable, WrongUse
from penstock.store.migrate import HEAD, REVISIONS, current_revision, lock_schema, run_revisions

if TYPE_CHECKING:
    from penstock.store.depots import Depots

BUSY_MS = 5_000
CONNECT_S = 5
# A host that vanished says nothing: without these its connections would hold threads for a quarter of an hour.
VANISHED: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class WrongSchema(Unavailable):
    """The database is there, and its schema is not the one of this program: waiting for it does not help."""


class Database:
    """An open database at the schema that this program knows.

    `depots` is where its large payloads and old runs are kept; None = they cannot be read.
    """

    def __init__(self, engine: Engine) -> None:
        self.depots: Depots | None = None
        self.engine = engine
        self.place = engine.url.render_as_string(hide_password=True)
        self._file = Path(engine.url.database or "") if engine.url.get_backend_name() == "sqlite" else None
        self._identity = _identity(self._file)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a transaction that only reads; raises `Unavailable` when the database fails."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed at the end, or undone by an exception.

        Raises `Unavailable` when the database fails.
        """
        with self._transaction(write=True) as connection:
            yield connection

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """An insert that knows `on_conflict_do_...` of the database at hand."""
        if self.engine.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)

    def close(self) -> None:
        """Gives all connections back."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        self._require_file()
        try:
            with self.engine.connect().execution_options(penstock_write=write) as connection, connection.begin():
                yield connection
        except (DataError, IntegrityError) as error:
            raise Invalid(
                f"the database refuses a value: {_words(error)}", where=self.place, now="send a shorter or plainer one"
            ) from None
        except (DBAPIError, PoolTimeoutError) as error:
            raise unavailable(self.place, error) from None

    def _require_file(self) -> None:
        """A file that was removed or replaced while it is open would take writes that nobody ever finds."""
        if self._file is None:
            return
        now = _identity(self._file)
        if now is None:
            raise file_gone(self.place)
        if now != self._identity:
            self.engine.dispose()
            self._identity = now


def open_database(url: str, *, migrate: bool = False) -> Database:
    """The database at that SQLAlchemy URL; a new and empty one gets the schema, by whoever comes first.

    `migrate` brings an older one to this program's schema. Raises `Unavailable` when it cannot be reached, is
    damaged, was made by a newer program, or is older and `migrate` was not asked for; `WrongUse` for a bad URL.
    """
    engine = _engine(_url(url))
    try:
        _require_head(engine, migrate=migrate)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)


def is_missing(url: str) -> bool:
    """Whether it is a SQLite file that nobody made yet: whoever only reads leaves it so. Raises `WrongUse`."""
    place = _url(url)
    return place.get_backend_name() == "sqlite" and not os.path.exists(place.database or "")


def upgrade(url: str) -> tuple[str | None, str]:
    """Brings the database to this program's schema; returns the revision before (None: it was new) and after."""
    engine = _engine(_url(url))
    try:
        before = _revision(engine, engine.url.render_as_string(hide_password=True))
    except SQLAlchemyError as error:
        raise unavailable(engine.url.render_as_string(hide_password=True), error) from None
    finally:
        engine.dispose()
    open_database(url, migrate=True).close()
    return before, HEAD


def file_gone(place: str) -> Unavailable:
    """The error of a SQLite file that was there before."""
    return Unavailable("the database's file is gone", where=place, now="bring it back, or start again")


def unavailable(place: str, error: SQLAlchemyError) -> Unavailable:
    """The database's own words, without the statement and its values."""
    return Unavailable(
        f"the database failed: {_words(error)}",
        where=place,
        now="check that it runs and can be written; a damaged file is replaced by a backup, or removed: what the "
        "release store holds is indexed again",
    )


def _words(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split()) or type(cause).__name__


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise WrongUse("is no database URL", where=text, now="sqlite:///FILE or postgresql://...") from None
    backend = url.get_backend_name()
    if backend not in {"sqlite", "postgresql"}:
        raise WrongUse(f"no support for {backend}", where="PENSTOCK_DATABASE_URL", now="take SQLite or PostgreSQL")
    return url.set(drivername="postgresql+psycopg") if backend == "postgresql" else url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    try:
        arguments = {"connect_timeout": CONNECT_S, "application_name": "penstock", **VANISHED}
        return create_engine(url, connect_args=arguments, pool_pre_ping=True, pool_timeout=CONNECT_S)
    except ModuleNotFoundError:
        raise Unavailable(
            "PostgreSQL's driver is not installed", where="psycopg", now="pip install 'penstock[postgres]'"
        ) from None


def _sqlite_engine(url: URL) -> Engine:
    if url.database:
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"the database's folder cannot be made: {error.strerror}", where=url.database, now="check the folder"
            ) from None
    engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000}, pool_timeout=CONNECT_S)

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's own transactions end at every DDL statement
        for pragma in (
            f"busy_timeout={BUSY_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "wal_autocheckpoint=8000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer that begins as a reader may find its snapshot outdated, and no waiting helps it then.
        writes = connection.get_execution_options().get("penstock_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _revision(engine: Engine, place: str) -> str | None:
    """The schema's revision; None of an empty database. Raises `Unavailable` for a newer one or somebody else's."""
    with engine.connect().execution_options(penstock_write=False) as connection, connection.begin():
        revision = current_revision(connection)
        tables = inspect(connection).get_table_names() if revision is None else []
    if revision is not None and revision not in REVISIONS:
        raise WrongSchema(
            f"the database has schema {revision}, made by a newer penstock than this one",
            where=place,
            now="install the penstock that wrote it, or a newer one",
        )
    if revision is None and tables:
        raise WrongSchema("the database belongs to another program", where=place, now="give Penstock one of its own")
    return revision


def _require_head(engine: Engine, *, migrate: bool) -> None:
    place = engine.url.render_as_string(hide_password=True)
    try:
        revision = _revision(engine, place)
        if revision is None or (migrate and revision != HEAD):
            _bring_to_head(engine)
            revision = _revision(engine, place)
    except SQLAlchemyError as error:
        raise unavailable(place, error) from None
    if revision != HEAD:
        raise Unavailable(
            f"the database has schema {revision}, this program works with {HEAD}",
            where=place,
            now="run `agentctl upgrade`",
        )


def _bring_to_head(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        lock_schema(connection)
        if current_revision(connection) != HEAD:  # nobody was first
            run_revisions(connection)


def _identity(file: Path | None) -> tuple[int, int] | None:
    try:
        found = os.stat(file) if file is not None else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found is not None else None
