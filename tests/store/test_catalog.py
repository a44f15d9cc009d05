import time

from penstock.store.catalog import Catalog, CatalogRow
from penstock.store.database import Database


def test_rows_are_replaced_whole_and_filtered(database: Database) -> None:
    catalog = Catalog(database)
    catalog.replace([CatalogRow("Agent", "gone", "1.0.0", "qa")])
    rows = [
        CatalogRow("Agent", "a", "1.0.0", "qa", "prod", "active", "2026", "An agent.", {"domain": "qa", "tier": "1"}),
        CatalogRow("Agent", "b", "1.0.0", "ops", "canary", "frozen", labels={"domain": "ops"}),
        CatalogRow("Tool", "a", "1.0.0", "qa"),
    ]
    assert catalog.replace(rows) == 3
    assert catalog.rows() == rows
    assert catalog.rows(kind="Agent", owner="qa") == rows[:1]
    assert catalog.rows(name="a", stage="prod") == rows[:1]
    assert catalog.rows(status="frozen") == rows[1:2]
    assert catalog.rows(labels={"domain": "qa"}) == rows[:1]
    assert catalog.rows(labels={"domain": "qa", "tier": "2"}) == []
    assert catalog.rows(limit=2) == rows[:2]
    assert rows[0].as_document()["createdAt"] == "2026"
    assert catalog.replace([]) == 0
    assert catalog.rows() == []


def test_ten_thousand_rows_are_filtered_in_time(database: Database) -> None:
    catalog = Catalog(database)
    catalog.replace(
        CatalogRow("Agent", f"agent-{number}", "1.0.0", f"team-{number % 50}", labels={"n": str(number % 7)})
        for number in range(10_000)
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        found = catalog.rows(owner="team-7", labels={"n": "3"})
        times.append(time.perf_counter() - start)
    assert len(found) == len([n for n in range(10_000) if n % 50 == 7 and n % 7 == 3])
    assert min(times) < 0.2
