"""Objects: the one small interface of the release store, over a folder or an object store.

An object is created once and never overwritten; only a hint may be replaced. So a reader needs no lock, and a
writer that comes second learns it from `create`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from penstock.errors import Unavailable, WrongUse

CLOUD_SCHEMES = frozenset({"s3", "gs", "az"})


class ObjectStore(Protocol):
    """Named bytes. Every method raises `Unavailable` when the store cannot be reached or written."""

    url: str

    def get(self, name: str) -> bytes | None:
        """The whole object; None if there is none."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Creates the object, durably and whole or not at all; False if one of that name exists already."""
        ...

    def list(self, prefix: str) -> list[str]:
        """The names below a folder (`routing/`), sorted; an empty prefix names all."""
        ...

    def replace_hint(self, name: str, data: bytes) -> None:
        """Writes an object that may be overwritten and that nobody may rely on."""
        ...


class RemovableStore(ObjectStore, Protocol):
    """Objects that have an end: what is kept of runs, never what is released."""

    def folders(self, prefix: str) -> tuple[str, ...]:
        """The names of the folders directly below a folder (`runs/`), sorted."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Removes the objects; one that is not there is no fault."""
        ...


class StoreMissing(Unavailable):
    """A folder that should hold the store is not there: nobody made it yet, or its mount went away."""


@dataclass(frozen=True, slots=True)
class StoreUse:
    """What a store is for: its name and what to do where there is none, for its errors; who may read its files."""

    name: str
    absent: str
    file_mode: int = 0o644


RELEASES = StoreUse(
    "release store",
    "check PENSTOCK_RELEASES_URL; in a new project the first `agentctl promote` or `reconcile` makes it",
)


def open_objects(url: str, use: StoreUse = RELEASES) -> ObjectStore:
    """The store at a folder's path, `file://`, `s3://`, `gs://` or `az://` URL; nothing is read or written yet.

    Raises `WrongUse` for another kind of URL, `Unavailable` when the library for it is not installed.
    """
    return open_removable(url, use)


def open_removable(url: str, use: StoreUse) -> RemovableStore:
    """As `open_objects`, for objects that have an end."""
    parts = urlsplit(url)
    if parts.scheme in CLOUD_SCHEMES:
        from penstock.store.cloud import CloudStore

        return CloudStore(url, use)
    if parts.scheme == "file" and not parts.netloc:
        url = parts.path
    elif "://" in url:
        raise WrongUse(f"no such kind of {use.name}", where=url, now="give a folder, or an s3://, gs:// or az:// URL")
    from penstock.store.folder import FolderStore

    return FolderStore(url, use)
