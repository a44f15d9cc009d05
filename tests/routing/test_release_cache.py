from pathlib import Path
from typing import Any

import pytest

from penstock.errors import NotFound, Unavailable
from penstock.routing.release_cache import ReleaseCache


def cached(root: Path, digest: str) -> Path:
    return root / "releases" / "sha256" / f"{digest[7:]}.json"


def test_what_was_fetched_is_there_without_the_store(released: Any, tmp_path: Path) -> None:
    digest = released.release("1.0.0")
    release = released.store.get_release(digest)
    ReleaseCache(tmp_path / "cache", released.store).fetch(digest)
    Path(released.store.url).rename(tmp_path / "gone")
    later = ReleaseCache(tmp_path / "cache", released.store)
    later.fetch(digest)
    assert later.release(digest) == release
    assert later.blob(release.prompt.body).startswith(b"You are")
    with pytest.raises(Unavailable):
        later.release("sha256:" + "0" * 64)


def test_a_damaged_copy_is_fetched_again(released: Any, tmp_path: Path) -> None:
    digest = released.release("1.0.0")
    ReleaseCache(tmp_path / "cache", released.store).fetch(digest)
    body = released.store.get_release(digest).prompt.body
    blob = tmp_path / "cache" / "blobs" / "sha256" / body[7:]
    good = blob.read_bytes()
    blob.write_bytes(b"evil")
    cached(tmp_path / "cache", digest).write_bytes(b"{}")
    again = ReleaseCache(tmp_path / "cache", released.store)
    assert again.blob(body) == good
    assert again.release(digest).digest == digest
    assert blob.read_bytes() == good
    assert cached(tmp_path / "cache", digest).read_bytes() != b"{}"


def test_an_unknown_release_is_not_found(released: Any, tmp_path: Path) -> None:
    released.release("1.0.0")
    with pytest.raises(NotFound):
        ReleaseCache(tmp_path / "cache", released.store).release("sha256:" + "0" * 64)


def test_a_cache_that_cannot_be_written_serves_but_does_not_count(released: Any, tmp_path: Path) -> None:
    digest = released.release("1.0.0")
    (tmp_path / "cache").write_text("a file where a folder should be")
    cache = ReleaseCache(tmp_path / "cache", released.store)
    assert cache.release(digest).digest == digest
    with pytest.raises(Unavailable):
        cache.fetch(digest)
