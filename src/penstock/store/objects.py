"""Objects: the one small interface of the release store, over a folder or an object store.

An object is created once and never overwritten; only a hint may be replaced. So a reader needs no lock, and a
writer that comes second learns it from `create`.
"""

from typing import Protocol
from urllib.parse import urlsplit

from penstock.errors import WrongUse

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


def open_objects(url: str) -> ObjectStore:
    """The store at a folder's path, `file://`, `s3://`, `gs://` or `az://` URL; nothing is read or written yet.

    Raises `WrongUse` for another kind of URL, `Unavailable` when the library for it is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme in CLOUD_SCHEMES:
        from penstock.store.cloud import CloudStore

        return CloudStore(url)
    if parts.scheme == "file" and not parts.netloc:
        url = parts.path
    elif "://" in url:
        raise WrongUse("no such kind of release store", where=url, now="give a folder, or an s3://, gs:// or az:// URL")
    from penstock.store.folder import FolderStore

    return FolderStore(url)
