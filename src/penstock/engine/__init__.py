"""How a release runs: two doors, one journal, one stream of events."""
