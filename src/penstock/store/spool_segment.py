"""One segment of the spool: a file that only grows, and that never holds half a line before a whole one."""

import contextlib
import errno
import os
from pathlib import Path

from penstock.store.spool_folder import SEGMENT, flush_folder


class Segment:
    """An open segment; `size` counts the bytes that are known to be durable."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.path = folder / f"{number:012d}{SEGMENT}"
        self.size = 0
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            flush_folder(folder)
        except OSError:
            self.close()
            raise

    def append(self, data: bytes) -> None:
        """Adds whole lines durably. After an `OSError` the segment must be left for a new one.

        What a failed flush has written cannot be known (the system forgets the pages), so the lines are written
        again elsewhere; readers take a line that they meet twice once.
        """
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
            if os.fstat(self._descriptor).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "the segment was removed under the spool")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        """Closes the file; nothing is lost by not doing so."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
