"""A folder as object store, safe against crashes and lost page caches.

An object is written to a temporary file in its own folder, flushed, linked to its name (which is exclusive), and the
folder is flushed. At no moment does a name stand for half an object; what `create` has answered for survives a loss of
power. Only `os` functions touch the disk here: the crash tests kill and replay them one by one.
"""

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Iterable

from penstock.errors import Unavailable
from penstock.store.object_name import checked_name
from penstock.store.objects import RELEASES, StoreMissing, StoreUse

TEMPORARY = ".tmp-"
STALE_S = 3600.0


class FolderStore:
    """The objects below `url`, a folder that the first write makes.

    A folder that is missing is `Unavailable` to readers, never an empty store: it may be a mount that went away.
    """

    def __init__(self, url: str, use: StoreUse = RELEASES) -> None:
        self.url = os.path.abspath(url)
        self._use = use
        self._seen = False
        self._durable: set[str] = set()

    def get(self, name: str) -> bytes | None:
        """The whole object; None if there is none."""
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            self._require_root()
            return None
        except OSError as error:
            raise self._unavailable(error, name) from None

    def create(self, name: str, data: bytes) -> bool:
        """Creates the object; False if it exists already, in which case it is durable by then too."""
        path = self._path(name)
        folder = os.path.dirname(path)
        try:
            try:
                return self._create(path, folder, data)
            except FileNotFoundError:
                self._durable.clear()  # a folder that was empty was removed meanwhile: it is made again
                return self._create(path, folder, data)
        except OSError as error:
            raise self._unavailable(error, name) from None

    def list(self, prefix: str) -> list[str]:
        """The names below a folder, sorted; leftovers of writers that died are not among them."""
        start = self._path(prefix.rstrip("/")) if prefix else self.url
        names: list[str] = []
        try:
            self._require_root()
            pending = [start]
            while pending:
                folder = pending.pop()
                for entry in _entries(folder):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif not entry.name.startswith(TEMPORARY):
                        names.append(os.path.relpath(entry.path, self.url).replace(os.sep, "/"))
        except OSError as error:
            raise self._unavailable(error, prefix) from None
        return sorted(names)

    def folders(self, prefix: str) -> tuple[str, ...]:
        """The names of the folders directly below a folder, sorted."""
        start = self._path(prefix.rstrip("/")) if prefix else self.url
        try:
            self._require_root()
            return tuple(sorted(one.name for one in _entries(start) if one.is_dir(follow_symlinks=False)))
        except OSError as error:
            raise self._unavailable(error, prefix) from None

    def delete(self, names: Iterable[str]) -> None:
        """Removes the objects, and the folders that are empty then; one that is not there is no fault."""
        folders = set()
        for name in names:
            path = self._path(name)
            try:
                os.unlink(path)
            except (FileNotFoundError, NotADirectoryError):
                self._require_root()
            except OSError as error:
                raise self._unavailable(error, name) from None
            folders.add(os.path.dirname(path))
        for folder in folders:
            self._leave(folder)

    def replace_hint(self, name: str, data: bytes) -> None:
        """Replaces the object whole; the older one stays if this is cut short."""
        path = self._path(name)
        folder = os.path.dirname(path)
        try:
            self._make_durable(folder)
            temporary = _write_temporary(folder, data, self._use.file_mode)
            os.rename(temporary, path)
            _flush_folder(folder)
        except OSError as error:
            raise self._unavailable(error, name) from None

    def _create(self, path: str, folder: str, data: bytes) -> bool:
        self._make_durable(folder)
        if os.path.lexists(path):
            _flush_folder(folder)  # its creator may not have come to this point yet
            return False
        return self._link(path, folder, data)

    def _leave(self, folder: str) -> None:
        """Makes removals durable, and removes what is empty up to the root."""
        try:
            _flush_folder(folder)
            while folder != self.url:
                os.rmdir(folder)
                self._durable.discard(folder)
                folder = os.path.dirname(folder)
                _flush_folder(folder)
        except FileNotFoundError:
            return  # somebody else removed it
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise self._unavailable(error, folder) from None

    def _link(self, path: str, folder: str, data: bytes) -> bool:
        temporary = _write_temporary(folder, data, self._use.file_mode)
        try:
            os.link(temporary, path)
            created = True
        except FileExistsError:
            created = False
        finally:
            os.unlink(temporary)
        _flush_folder(folder)
        return created

    def _make_durable(self, folder: str) -> None:
        """Makes the folder and all above it, up to the root's parent, durable; once a process and folder."""
        if folder in self._durable:
            return
        if folder == self.url:
            self._make_root()
        else:
            self._make_durable(os.path.dirname(folder))
            try:
                os.mkdir(folder)
            except FileExistsError:
                _sweep(folder)
            _flush_folder(os.path.dirname(folder))
        self._durable.add(folder)

    def _make_root(self) -> None:
        if self._seen:
            self._require_root()
        missing = []
        folder = self.url
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for one in reversed(missing or [self.url]):
            with contextlib.suppress(FileExistsError):
                os.mkdir(one)
            _flush_folder(os.path.dirname(one))
        self._seen = True

    def _require_root(self) -> None:
        if os.path.isdir(self.url):
            self._seen = True
            return
        now = "bring it back (a mount that went away?)" if self._seen else self._use.absent
        raise StoreMissing(f"there is no {self._use.name} here", where=self.url, now=now)

    def _path(self, name: str) -> str:
        return os.path.join(self.url, *checked_name(name).split("/"))

    def _unavailable(self, error: OSError, name: str) -> Unavailable:
        return Unavailable(
            f"the {self._use.name} failed at {name or 'its root'}: {error.strerror or error}",
            where=self.url,
            now="check that the folder is mounted, writable and has space left",
        )


def _write_temporary(folder: str, data: bytes, mode: int) -> str:
    path = os.path.join(folder, f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        os.unlink(path)
        raise
    return path


def _flush_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sweep(folder: str) -> None:
    """Removes temporary files of writers that died; one that is merely slow has an hour, and then fails cleanly."""
    oldest = time.time() - STALE_S
    for entry in _entries(folder):
        if entry.name.startswith(TEMPORARY):
            with contextlib.suppress(FileNotFoundError):  # its writer has just ended
                if entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.path)
