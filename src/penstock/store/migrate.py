"""Schema revisions: which there are, which one a database has, and how it gets to the newest."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

_SCRIPTS = Path(__file__).parent / "migrations"
REVISIONS: tuple[str, ...] = tuple(
    sorted(path.name[1:].split("_")[0] for path in (_SCRIPTS / "versions").glob("r[0-9]*_*.py"))
)
HEAD = REVISIONS[-1]
_VERSION_TABLE = "alembic_version"
_ADVISORY_LOCK = 0x50656E73  # any number that no other program of the same database takes


def current_revision(connection: Connection) -> str | None:
    """The revision that the database says; None when it has none."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).first()
    return str(row[0]) if row is not None else None


def lock_schema(connection: Connection) -> None:
    """Keeps others from changing the schema until the transaction ends; SQLite's writers do so already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def run_revisions(connection: Connection, target: str = "head") -> None:
    """Runs what is missing up to `target`, in the connection's transaction."""
    from alembic import command  # 0.2 s that only a new or old database costs
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
