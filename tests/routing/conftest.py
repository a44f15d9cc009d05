from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.routing_table import AgentRoutes, RoutingTable, TableSource
from penstock.routing.publish import next_table, publish
from penstock.store.folder import FolderStore
from penstock.store.releases import ReleaseStore
from penstock.testing.example_release import example_release

Publish = Callable[..., RoutingTable]


class Released:
    """A release store with releases in it, and a short way to publish tables that name them."""

    def __init__(self, root: Path) -> None:
        self.store = ReleaseStore(FolderStore(str(root)))
        self.digests: dict[str, str] = {}

    def release(self, version: str) -> str:
        """The digest of that version, put into the store if it is not there yet."""
        if version not in self.digests:
            release, body = example_release({"limits": {"timeoutMs": 1000 + len(self.digests)}})
            self.digests[version] = self.store.put_release(release, {digest_bytes(body): body})
        return self.digests[version]

    def entry(self, version: str, **fields: Any) -> dict[str, Any]:
        """An entry of the table for that version."""
        return {"version": version, "release": self.release(version), "runtime": "direct", **fields}

    def routes(self, prod: str = "1.0.0", **fields: Any) -> AgentRoutes:
        """An agent's entry with that version in prod."""
        return AgentRoutes.model_validate({"prod": self.entry(prod), **fields})

    def publish(self, prod: str = "1.0.0", kind: str = "promote", **fields: Any) -> RoutingTable:
        """Publishes a table in which `clerk` has that version in prod."""
        routes = self.routes(prod, **fields)
        source = TableSource(commit=None, kind=kind, actor="ann@example.org", reason="a test")
        return publish(self.store, lambda current: next_table(current, {"clerk": routes}, {}, source))


@pytest.fixture
def released(tmp_path: Path) -> Released:
    return Released(tmp_path / "releases")
