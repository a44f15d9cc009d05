"""One file a runtime; the only importers of runtime SDKs."""
