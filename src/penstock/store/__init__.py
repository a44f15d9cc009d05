"""State: the release store (truth), the durable spool of runs, and the database that indexes both."""
