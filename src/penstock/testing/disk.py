"""A disk that fails: `os` functions that kill their process at a chosen call, or that remember what was flushed.

A module that touches the disk by `os` functions alone is tested by putting one of these in the place of its `os`.
"""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CALLS = frozenset({"open", "write", "fsync", "fdatasync", "close", "link", "unlink", "rename", "mkdir"})


class ArmedDisk:
    """`os`, but the process is killed (SIGKILL) just before its `kill_at`-th call that may change the disk, from 1."""

    def __init__(self, kill_at: int) -> None:
        self.calls = 0
        self._kill_at = kill_at

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        if name not in CALLS:
            return function

        def armed(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return armed


@dataclass
class _Inode:
    """A file's bytes as written, and as they were at its last flush."""

    data: bytes = b""
    flushed: bytes = b""


@dataclass
class _Folder:
    """A folder's entries as they are, and as they were at its last flush."""

    entries: dict[str, "_Inode | _Folder"] = field(default_factory=dict)
    flushed: dict[str, "_Inode | _Folder"] = field(default_factory=dict)


class RememberingDisk:
    """`os` below `root` (a folder that exists), which also knows what a loss of power would leave.

    `survivors(entries_kept=False)` is what was flushed alone; with `entries_kept` the names survive, but only the bytes
    that were flushed: the two extremes of what file systems do.
    """

    def __init__(self, root: Path) -> None:
        self.states: list[dict[bool, dict[str, bytes]]] = []
        self._root = str(root)
        self._tree = _Folder()
        self._descriptors: dict[int, _Inode | _Folder] = {}

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        follow = getattr(self, f"_after_{name}", None)
        if name not in CALLS or follow is None:
            return function

        def followed(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            follow(result, *arguments)
            self.states.append({kept: self.survivors(entries_kept=kept) for kept in (False, True)})
            return result

        return followed

    def survivors(self, *, entries_kept: bool) -> dict[str, bytes]:
        """Path below the root -> bytes that a loss of power would leave now."""
        found: dict[str, bytes] = {}

        def visit(folder: _Folder, place: str) -> None:
            for name, node in (folder.entries if entries_kept else folder.flushed).items():
                if isinstance(node, _Folder):
                    visit(node, f"{place}{name}/")
                else:
                    found[place + name] = node.flushed

        visit(self._tree, "")
        return found

    def _node(self, path: str) -> "_Inode | _Folder":
        folder, name = self._parent(path)
        return folder.entries.setdefault(name, _Inode()) if name else folder

    def _parent(self, path: str) -> tuple[_Folder, str]:
        parts = [part for part in os.path.relpath(path, self._root).split(os.sep) if part != "."]
        folder = self._tree
        for part in parts[:-1]:
            node = folder.entries[part]
            assert isinstance(node, _Folder)
            folder = node
        return folder, parts[-1] if parts else ""

    def _after_open(self, result: int, path: str, *_: int) -> None:
        self._descriptors[result] = self._node(path)

    def _after_write(self, result: int, descriptor: int, data: bytes) -> None:
        node = self._descriptors[descriptor]
        assert isinstance(node, _Inode)
        node.data += bytes(data)[:result]

    def _after_fsync(self, _result: None, descriptor: int) -> None:
        node = self._descriptors[descriptor]
        if isinstance(node, _Folder):
            node.flushed = dict(node.entries)
        else:
            node.flushed = node.data

    def _after_close(self, _result: None, descriptor: int) -> None:
        self._descriptors.pop(descriptor, None)

    def _after_link(self, _result: None, source: str, target: str) -> None:
        folder, name = self._parent(target)
        folder.entries[name] = self._node(source)

    def _after_unlink(self, _result: None, path: str) -> None:
        folder, name = self._parent(path)
        folder.entries.pop(name, None)

    def _after_rename(self, _result: None, source: str, target: str) -> None:
        self._after_link(None, source, target)
        self._after_unlink(None, source)

    def _after_mkdir(self, _result: None, path: str, *_: int) -> None:
        folder, name = self._parent(path)
        folder.entries[name] = _Folder()
