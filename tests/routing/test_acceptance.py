import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.release import Release
from penstock.errors import Unavailable
from penstock.routing import acceptance
from penstock.routing import watch as watch_module
from penstock.routing.watch import TableWatch
from penstock.store.folder import FolderStore
from penstock.store.releases import ReleaseStore
from penstock.testing.executor_world import wait_until

Accept = Callable[[Release], None]


@pytest.fixture
def watching(released: Any, tmp_path: Path) -> Callable[[Accept], TableWatch]:
    """A watch of the store, looking when it is told to, that asks somebody about each release."""
    return lambda accept: TableWatch(ReleaseStore(FolderStore(released.store.url)), tmp_path / "cache", accept=accept)


def generation(watch: TableWatch) -> int | None:
    return watch.current.generation if watch.current is not None else None


def test_a_release_that_is_not_accepted_leaves_the_last_good_table(
    released: Any, watching: Callable[[Accept], TableWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = released.release("2.0.0")
    asked: list[str] = []

    def accept(release: Release) -> None:
        asked.append(release.digest)
        if release.digest == bad:
            raise Unavailable(
                "it requires colours>=2, which is not installed", where="tools/paint@1.0.0", now="install"
            )

    released.publish("1.0.0")
    watch = watching(accept)
    watch.look()
    released.publish("2.0.0")
    for _ in range(3):
        watch.look()
    assert generation(watch) == 1
    assert "generation 2 cannot be served: it requires colours>=2, which is not installed" in str(watch.problem)
    assert asked == [released.release("1.0.0"), bad]
    monkeypatch.setattr(acceptance, "RETRY_S", 0.0)
    bad = ""
    watch.look()
    assert (generation(watch), watch.problem) == (2, None)


def test_what_hangs_while_it_is_loaded_does_not_keep_the_next_table_out(
    released: Any, watching: Callable[[Accept], TableWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "PATIENCE_S", 0.05)
    go_on, slow = threading.Event(), released.release("2.0.0")

    def accept(release: Release) -> None:
        if release.digest == slow:
            go_on.wait(20)

    released.publish("1.0.0")
    watch = watching(accept)
    watch.look()
    released.publish("2.0.0")
    watch.look()
    assert generation(watch) == 1
    assert "clerk@1.0.0: it is still being loaded" in str(watch.problem)
    released.publish("1.0.0", kind="rollback")
    watch.look()
    assert (generation(watch), watch.problem) == (3, None)
    go_on.set()


def test_a_start_without_the_store_waits_until_the_cached_table_is_accepted(
    released: Any, watching: Callable[[Accept], TableWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "PATIENCE_S", 0.05)
    released.publish("1.0.0")
    watching(lambda release: None).look()
    Path(released.store.url).rename(f"{released.store.url}-away")
    go_on = threading.Event()
    watch = watching(lambda release: None if go_on.wait(20) else pytest.fail("never told"))
    watch.look()
    assert generation(watch) is None
    go_on.set()

    def is_current() -> bool:
        watch.look()
        return generation(watch) == 1

    wait_until(is_current, what="the cached table")


def test_a_cached_table_that_cannot_be_served_any_more_is_not(
    released: Any, watching: Callable[[Accept], TableWatch], caplog: pytest.LogCaptureFixture
) -> None:
    released.publish("1.0.0")
    watching(lambda release: None).look()

    def refuse(release: Release) -> None:
        raise SystemExit("a tool that ends the process")

    watch = watching(refuse)
    watch.look()
    assert generation(watch) is None
    assert "the cached routing table cannot be served" in caplog.text
    assert "SystemExit" in str(watch.problem)
