"""The executor's own copy of what it serves: releases and blobs by digest, there when the store is not."""

import contextlib
import threading
from pathlib import Path

from penstock.contracts.release import Release
from penstock.errors import PenstockError, Unavailable
from penstock.store.folder import FolderStore
from penstock.store.releases import ReleaseStore, parse_release

IN_MEMORY = 1024


class ReleaseCache:
    """Releases and blobs below `cache_dir`, fetched from `store` when they are not there yet; safe in any thread.

    Everything that leaves the cache is what its digest says: a damaged copy is fetched again.
    """

    def __init__(self, cache_dir: Path, store: ReleaseStore) -> None:
        self._store = store
        self._files = FolderStore(str(cache_dir))
        self._cached = ReleaseStore(self._files)
        self._guard = threading.Lock()
        self._releases: dict[str, Release] = {}
        self._whole: set[str] = set()

    def release(self, digest: str) -> Release:
        """The release of that digest.

        Raises `NotFound` or `Invalid` as the store does, `Unavailable` when it is neither cached nor in reach.
        """
        release = self._releases.get(digest)
        if release is None:
            release = self._release(digest)
            with self._guard:
                while len(self._releases) >= IN_MEMORY:
                    self._releases.pop(next(iter(self._releases)))
                self._releases[digest] = release
        return release

    def blob(self, digest: str) -> bytes:
        """The bytes of that digest; raises as `release` does."""
        try:
            return self._cached.get_blob(digest)
        except PenstockError:
            data = self._store.get_blob(digest)
            self._keep(_blob_file(digest), data)
            return data

    def fetch(self, digest: str) -> None:
        """Makes sure that the release and all its blobs are on this disk; raises as `release` does.

        Unlike a run, which could still be served from the store, this fails when the cache cannot be written.
        """
        if digest in self._whole:
            return
        for blob in sorted(self.release(digest).blobs):
            self.blob(blob)
            self._require(_blob_file(blob), blob)
        self._require(_release_file(digest), digest)
        self._whole.add(digest)

    def _release(self, digest: str) -> Release:
        try:
            return self._cached.get_release(digest)
        except PenstockError:
            data = self._store.get_release_bytes(digest)
            release = parse_release(digest, data, self._store.url)
            self._keep(_release_file(digest), data)
            return release

    def _keep(self, name: str, data: bytes) -> None:
        """Writes the copy, over a damaged one too; a run is served without one, `fetch` looks whether it is there."""
        with contextlib.suppress(Unavailable):
            self._files.replace_hint(name, data)

    def _require(self, name: str, what: str) -> None:
        kept = None
        with contextlib.suppress(Unavailable):
            kept = self._files.get(name)
        if kept is None:
            raise Unavailable(
                f"{what} cannot be kept in the cache", where=self._files.url, now="check PENSTOCK_CACHE_DIR"
            )


def _blob_file(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _release_file(digest: str) -> str:
    return f"releases/sha256/{digest.removeprefix('sha256:')}.json"
