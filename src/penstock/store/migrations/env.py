"""Runs the revisions on the connection, and in the transaction, that `penstock.store.database` holds."""

from alembic import context

from penstock.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
