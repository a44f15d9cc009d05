"""Databases of a PostgreSQL server that tests may make databases in."""

import contextlib
import os
from collections.abc import Iterator

from sqlalchemy import create_engine, text

SERVER = "PENSTOCK_TEST_POSTGRES"


@contextlib.contextmanager
def postgresql_database(name: str) -> Iterator[str]:
    """The URL of an empty database that is dropped at the end; the server must be named by PENSTOCK_TEST_POSTGRES."""
    server = os.environ.get(SERVER)
    assert server, f"{SERVER} must be the URL of a PostgreSQL that tests may make databases in"
    name = f"penstock_test_{os.getpid()}_{name.replace('-', '_')[:30]}".lower()
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}"'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield engine.url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        engine.dispose()
