import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

import penstock.store.migrate
from penstock.errors import Invalid, Unavailable, WrongUse
from penstock.store import tables
from penstock.store.database import Database, open_database, upgrade
from penstock.store.migrate import HEAD, REVISIONS, run_revisions
from penstock.testing.postgresql import postgresql_database


def opened_revision(url: str) -> str:
    database = open_database(url)
    with database.read() as connection:
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    database.close()
    return str(revision)


def test_the_revisions_lead_to_the_tables_that_the_program_uses(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_the_file_names_say_the_revisions() -> None:
    scripts = ScriptDirectory(str(Path(penstock.store.migrate.__file__).parent / "migrations"))
    assert scripts.get_current_head() == HEAD
    assert sorted(script.revision for script in scripts.walk_revisions()) == list(REVISIONS)


def test_many_processes_may_open_a_new_database_at_once(database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(opened_revision, [database_url] * 8) == [HEAD] * 8


def test_a_newer_database_is_refused(database_url: str) -> None:
    database = open_database(database_url)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    for use in (open_database, upgrade):
        with pytest.raises(Unavailable, match="made by a newer penstock") as caught:
            use(database_url)
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("released", REVISIONS[:-1])
def test_an_older_database_asks_for_upgrade_and_gets_it(database_url: str, released: str) -> None:
    """From every schema that was ever released."""
    database = open_database(database_url)
    with database.engine.begin() as connection:
        tables.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
        run_revisions(connection, released)
    database.close()
    with pytest.raises(Unavailable, match=f"schema {released}") as caught:
        open_database(database_url)
    assert "agentctl upgrade" in caught.value.now
    assert upgrade(database_url) == (released, HEAD)
    database = open_database(database_url)
    assert set(inspect(database.engine).get_table_names()) == {*tables.metadata.tables, "alembic_version"}
    database.close()


def test_an_upgrade_fills_what_cost_is_summed_by(database_url: str) -> None:
    database = open_database(database_url)
    with database.engine.begin() as connection:
        tables.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
        run_revisions(connection, "0003")
        fixed = "version, release, stage, mode, status, tenant, started_at"
        values = "'1', 'r', 'prod', 'live', 'x', '', ''"
        row = f"INSERT INTO runs (run_id, agent, {fixed}, document) VALUES (:id, 'a', {values}, :run)"
        told = '{"team": "desk", "usage": {"promptTokens": 7, "completionTokens": 3}}'
        connection.execute(text(row), [{"id": "one", "run": told}, {"id": "two", "run": "{}"}])
    database.close()
    upgrade(database_url)
    database = open_database(database_url)
    columns = tables.runs.c
    with database.read() as connection:
        found = connection.execute(select(columns.team, columns.prompt_tokens, columns.completion_tokens)).all()
    assert sorted(map(tuple, found), key=str) == [("desk", 7, 3), (None, None, None)]
    database.close()


def test_upgrade_makes_a_new_one(database_url: str) -> None:
    assert upgrade(database_url) == (None, HEAD)
    assert upgrade(database_url) == (HEAD, HEAD)


def test_a_transaction_is_whole_or_not_at_all(database: Database) -> None:
    def broken() -> None:
        with database.write() as connection:
            connection.execute(tables.payload_deletions.insert(), {"run_id": "r", "at": "now"})
            raise KeyError("stop")

    with pytest.raises(KeyError):
        broken()
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM payload_deletions")).scalar_one() == 0


def test_a_value_that_breaks_a_rule_is_the_callers_fault(database: Database) -> None:
    def broken() -> None:
        with database.write() as connection:
            connection.execute(tables.payload_deletions.insert(), [{"run_id": "r", "at": "now"}] * 2)

    with pytest.raises(Invalid, match="refuses a value"):
        broken()


def test_sqlite_is_durable_and_has_readers_beside_its_writer(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    with database.write() as writer:
        writer.execute(tables.payload_deletions.insert(), {"run_id": "r", "at": "now"})
        pragmas = {name: writer.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
        with database.read() as reader:
            assert reader.execute(text("SELECT count(*) FROM payload_deletions")).scalar_one() == 0
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    database.close()


@pytest.mark.parametrize("harm", [b"no database at all " * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_unavailable(tmp_path: Path, harm: bytes) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(harm)
    with pytest.raises(Unavailable, match="database failed") as caught:
        open_database(f"sqlite:///{file}")
    assert str(file) in caught.value.where
    assert file.read_bytes() == harm


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    connection.close()
    with pytest.raises(Unavailable, match="another program"):
        open_database(f"sqlite:///{file}")


def test_a_file_that_is_gone_takes_no_more_writes(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    database = open_database(f"sqlite:///{file}")

    def write() -> None:
        with database.write() as connection:
            connection.execute(text("DELETE FROM runs"))

    moved = file.rename(tmp_path / "moved.db")
    with pytest.raises(Unavailable, match="gone"):
        write()
    moved.rename(file)
    write()
    database.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db"])
def test_a_bad_url_is_wrong_use(url: str) -> None:
    with pytest.raises(WrongUse):
        open_database(url)


def test_a_server_that_is_away_is_unavailable_and_no_password_is_shown() -> None:
    with pytest.raises(Unavailable) as caught:
        open_database("postgresql://user:hunter2@127.0.0.1:9/none")
    assert "hunter2" not in str(caught.value)


@pytest.mark.servers
def test_a_connection_to_a_host_that_vanishes_is_given_up(tmp_path: Path) -> None:
    with postgresql_database(tmp_path.name) as url:
        database = open_database(url)
        with database.read() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            parameters = driver.info.get_parameters()
        database.close()
    assert (parameters["keepalives_idle"], parameters["tcp_user_timeout"]) == ("5", "10000")
