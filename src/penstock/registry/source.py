"""Where specs are read from: a Git revision, without a checkout, or the working tree."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from penstock.errors import NotFound, Unavailable
from penstock.registry.git import Repository
from penstock.registry.git_command import git

PROJECT_FOLDERS = ("registry_repo", "contract_suites", "datasets", "evals", "runtimes", "pipelines")
FILE, EXECUTABLE, SYMLINK, SUBMODULE = "100644", "100755", "120000", "160000"


class Contents(Protocol):
    """Where an entry's blob id and size come from; asked only when they are needed."""

    def blob_id(self, path: str) -> str:
        """The Git blob id of a file."""
        ...

    def size(self, path: str) -> int:
        """The size of a file in bytes, known without reading all of it."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the project: its path from the root and its Git mode."""

    path: str
    mode: str
    _contents: Contents = field(repr=False, compare=False)

    @property
    def blob(self) -> str:
        """The Git blob id."""
        return self._contents.blob_id(self.path)

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self._contents.size(self.path)

    @property
    def is_plain(self) -> bool:
        """Whether it is a file: neither a symlink nor a submodule."""
        return self.mode in {FILE, EXECUTABLE}


class Source(Protocol):
    """A project's declared files at one state."""

    @property
    def label(self) -> str:
        """How messages name this state."""
        ...

    @property
    def commit(self) -> str | None:
        """The commit, None for a working tree."""
        ...

    def entries(self) -> Mapping[str, Entry]:
        """Path -> entry of every file in the project's folders; raises `Unavailable`."""
        ...

    def read(self, path: str) -> bytes:
        """The bytes of a file; raises `NotFound`."""
        ...


class GitSource:
    """The project as one commit has it."""

    def __init__(self, repository: Repository, commit: str) -> None:
        """Raises `NotFound` if there is no such commit."""
        self.repository = repository
        self.commit: str | None = repository.resolve(commit)
        self._entries: dict[str, Entry] | None = None
        self._blobs: dict[str, str] = {}

    @property
    def label(self) -> str:
        """The commit's short id."""
        return (self.commit or "")[:12]

    def entries(self) -> Mapping[str, Entry]:
        """Path -> entry; listed once."""
        if self._entries is None:
            self._entries = {}
            for file in self.repository.files(self.commit or "", PROJECT_FOLDERS):
                self._blobs[file.path] = file.blob
                self._entries[file.path] = Entry(file.path, file.mode, self)
        return self._entries

    def read(self, path: str) -> bytes:
        """The bytes of a file; raises `NotFound`."""
        return self.repository.read_blob(self.blob_id(path))

    def blob_id(self, path: str) -> str:
        """The Git blob id of a file; raises `NotFound`."""
        self.entries()
        if path not in self._blobs:
            raise NotFound("no such file", where=f"{self.label}:{path}", now="name a file of that commit")
        return self._blobs[path]

    def size(self, path: str) -> int:
        """The size of a file in bytes."""
        return self.repository.blob_size(self.blob_id(path))


class TreeSource:
    """The project's working tree: what `git add --all` would take, so that ignored files are no part of it."""

    commit: str | None = None

    def __init__(self, root: Path) -> None:
        self.root = root
        self._entries: dict[str, Entry] | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return "working tree"

    def entries(self) -> Mapping[str, Entry]:
        """Path -> entry; listed once."""
        if self._entries is None:
            found = {}
            for path in self._paths():
                try:
                    mode = _mode(os.lstat(self.root / path))
                except FileNotFoundError:  # deleted, but still in Git's index
                    continue
                except OSError as error:
                    raise self._unreadable(path, error) from None
                found[path] = Entry(path, mode, self)
            self._entries = found
        return self._entries

    def read(self, path: str) -> bytes:
        """The bytes of a file (of a symlink: its target); raises `NotFound`."""
        place = self.root / path
        try:
            return os.fsencode(os.readlink(place)) if place.is_symlink() else place.read_bytes()
        except FileNotFoundError:
            raise NotFound("no such file", where=str(place), now="name a file of the project") from None
        except OSError as error:
            raise self._unreadable(path, error) from None

    def blob_id(self, path: str) -> str:
        """The id that Git would give the file."""
        data = self.read(path)
        return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()

    def size(self, path: str) -> int:
        """The size of a file in bytes."""
        return os.lstat(self.root / path).st_size

    def _paths(self) -> list[str]:
        if not self.root.is_dir():
            raise Unavailable("no such folder", where=str(self.root), now="name the project by --project")
        folders = [folder for folder in PROJECT_FOLDERS if (self.root / folder).exists()]
        if not folders:
            return []
        answer = git(self.root, ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders])
        if answer.status == 0:
            return sorted({path.rstrip("/") for path in answer.out.split("\0") if path})
        if "not a git repository" not in answer.words:
            raise Unavailable(f"git ls-files failed: {answer.words}", where=str(self.root), now="mend the repository")
        return sorted(path for folder in folders for path in self._walk(folder))

    def _walk(self, folder: str) -> list[str]:
        """Without a Git repository there is no list of ignored files: caches and hidden files are left out."""
        found = []
        for place, folders, files in os.walk(self.root / folder, onerror=self._stop):
            folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
            links = [name for name in folders if (Path(place) / name).is_symlink()]
            names = [name for name in files if not name.startswith(".") and not name.endswith(".pyc")]
            found += [(Path(place) / name).relative_to(self.root).as_posix() for name in (*names, *links)]
        return found

    def _stop(self, error: OSError) -> None:
        raise self._unreadable(str(error.filename), error)

    def _unreadable(self, path: str, error: OSError) -> Unavailable:
        return Unavailable(f"cannot be read: {error.strerror}", where=str(self.root / path), now="see its permissions")


def _mode(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return SYMLINK
    if stat.S_ISDIR(status.st_mode):
        return SUBMODULE
    return EXECUTABLE if status.st_mode & stat.S_IXUSR else FILE
