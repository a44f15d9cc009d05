"""Where state is kept: the release store, the database, the spool."""
