"""One file a gate: what must be shown before a version moves."""
