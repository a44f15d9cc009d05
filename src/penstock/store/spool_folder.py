"""The folder of one executor's spool: its lock, and its numbered segments."""

import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from penstock.errors import Unavailable

LOCK = "lock"
SEGMENT = ".jsonl"


class SpoolLock:
    """Says that a folder's executor is alive; the system drops it when its process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, folder: Path) -> "SpoolLock | None":
        """The lock of the folder; None while another process holds it. Raises `OSError`."""
        path = folder / LOCK
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            if _is_still_there(path, descriptor):
                return cls(descriptor)
            os.close(descriptor)  # whoever had it removed the file: the lock on it means nothing any more

    def release(self) -> None:
        """Lets others take the folder over."""
        os.close(self._descriptor)


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The folder's segments by number, oldest first."""
    found = [path for path in folder.glob(f"*{SEGMENT}") if path.stem.isdigit()]
    return sorted((int(path.stem), path) for path in found)


def held_bytes(folder: Path, taken: Mapping[Path, int] | None = None) -> int:
    """Bytes in the folder's segments, less what was taken in of each; one that goes meanwhile counts nothing."""
    held = 0
    for _, path in segments(folder):
        with contextlib.suppress(FileNotFoundError):
            held += path.stat().st_size - (taken or {}).get(path, 0)
    return max(0, held)


def flush_folder(folder: Path) -> None:
    """Makes what was created or removed in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(folder: Path, error: OSError) -> Unavailable:
    """The error of a spool that cannot be made durable."""
    return Unavailable(
        f"the spool cannot be written: {error.strerror or error}",
        where=str(folder),
        now="free space or mend the folder; runs go on by themselves once it can be written",
    )


def _is_still_there(path: Path, descriptor: int) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    own = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)
