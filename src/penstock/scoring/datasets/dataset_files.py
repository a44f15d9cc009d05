"""The files of a dataset as they are written: a new one at once or not at all, cases added without losing any.

A process that is killed at any point leaves the dataset as it was or as it was to be. Of two that add at the same time
one waits for the other.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from penstock.errors import Conflict, NotFound, PenstockError, Unavailable
from penstock.registry.layout import dataset_paths
from penstock.settings import Settings

_LOCKS = "locks"
_DRAFTS = "drafts"
Add = Callable[[bytes], Sequence[dict[str, Any]]]


def write_dataset(settings: Settings, name: str, head: bytes, cases: Sequence[dict[str, Any]]) -> None:
    """Lays a new dataset down. Raises `Conflict` if there is one of that name, `Unavailable` when the disk says no."""
    target = settings.root / "datasets" / name
    with _locked(settings, name):
        if target.exists():
            raise Conflict(f"there is a dataset {name!r} already", where=str(target), now="--append adds cases to it")
        draft = _draft(settings, name)
        with _saying(target):
            os.mkdir(draft)
        try:
            with _saying(target):
                _write(draft / "dataset.yaml", head)
                _write(draft / "cases.jsonl", case_lines(cases))
                os.makedirs(target.parent, exist_ok=True)
                os.rename(draft, target)
                _flush_folder(target.parent)
        except BaseException:
            _remove(draft)
            raise


def append_cases(settings: Settings, name: str, add: Add) -> int:
    """Appends what `add` makes of the bytes of cases.jsonl as they are once nobody else writes; returns how many.

    Raises what `add` raises, `NotFound` for no such dataset, `Conflict` when another program changed the file
    meanwhile, `Unavailable` when the disk says no; then nothing is changed.
    """
    place = settings.root / dataset_paths(name)[1]
    with _locked(settings, name):
        before = _read(place)
        cases = add(before)
        if not cases:
            return 0
        gap = b"" if not before or before.endswith(b"\n") else b"\n"
        draft = _draft(settings, name)
        try:
            with _saying(place):
                _write(draft, before + gap + case_lines(cases))
            if _read(place) != before:
                raise Conflict("was changed by another program meanwhile", where=str(place), now="try it again")
            with _saying(place):
                os.rename(draft, place)
                _flush_folder(place.parent)
        except BaseException:
            _remove(draft)
            raise
        return len(cases)


def case_lines(cases: Sequence[dict[str, Any]]) -> bytes:
    """The lines of a cases.jsonl."""
    return b"".join(orjson.dumps(case) + b"\n" for case in cases)


@contextlib.contextmanager
def _locked(settings: Settings, name: str) -> Iterator[None]:
    """One writer of a dataset at a time in this clone; the lock ends with its process, however that ends."""
    place = settings.state / _LOCKS / f"dataset-{name}.lock"
    with _saying(place):
        os.makedirs(place.parent, exist_ok=True)
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _draft(settings: Settings, name: str) -> Path:
    """A place of its own beside the project's state, on the same disk."""
    folder = settings.state / _DRAFTS
    with _saying(folder):
        os.makedirs(folder, exist_ok=True)
    return folder / f"{name}-{uuid.uuid4().hex}"


def _write(place: Path, data: bytes) -> None:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except FileNotFoundError:
        now = "`agentctl dataset import` lays one down"
        raise NotFound("there is no such dataset", where=str(place), now=now) from None
    except OSError as error:
        raise _refusal(error, place) from None


def _remove(draft: Path) -> None:
    with contextlib.suppress(OSError):
        if draft.is_dir():
            for file in draft.iterdir():
                file.unlink()
            draft.rmdir()
        else:
            draft.unlink()


@contextlib.contextmanager
def _saying(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refusal(error, place) from None


def _refusal(error: OSError, place: Path) -> PenstockError:
    what = f"nothing was written: {error.strerror}"
    return Unavailable(what, where=str(error.filename or place), now="free space, or see who may write there")
