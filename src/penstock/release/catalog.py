"""The catalog's rows in the database, brought up to date by whoever publishes."""

from dataclasses import asdict, replace

from penstock.errors import PenstockError
from penstock.registry.catalog import catalog_rows, created_times
from penstock.release.workspace import Workspace


def refresh_catalog(workspace: Workspace, head: str) -> list[str]:
    """Writes the rows of the registry at `head`; returns one sentence when that fails, else nothing.

    The catalog is an index: without it releases go on, so that a database that is away is no error here. The history
    is walked, for when each file was added, only if something differs.
    """
    from penstock.store.catalog import Catalog, CatalogRow

    try:
        registry = workspace.registry(head)
        catalog = Catalog(workspace.database)
        rows = [CatalogRow(**asdict(row)) for row in catalog_rows(registry)]
        known = [replace(row, created_at="") for row in catalog.rows()]
        if sorted(rows, key=_key) != sorted(known, key=_key):
            times = created_times(workspace.repository, head)
            catalog.replace(CatalogRow(**asdict(row)) for row in catalog_rows(registry, times))
    except PenstockError as error:
        return [f"the catalog is not up to date: {error.what}"]
    return []


def _key(row: object) -> tuple[str, ...]:
    return tuple(str(getattr(row, name)) for name in ("kind", "name", "version"))
