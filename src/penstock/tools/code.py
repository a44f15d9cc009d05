"""A tool's files on this machine: laid down by their digest, checked each time they are loaded."""

import ast
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.release import CodeFile, ToolComponent
from penstock.contracts.tool import PythonImplementation
from penstock.errors import Invalid, Unavailable
from penstock.pal import ToolFailed
from penstock.tools.package import PREFIX

Blobs = Callable[[str], bytes]
"""The bytes of a blob by its digest; raises a `PenstockError`."""


@dataclass(frozen=True, slots=True)
class ToolCode:
    """The checked files of one tool, and what it declares about them."""

    ref: str
    folder: Path
    package: str
    entry: str
    is_async: bool


def load_code(tool: ToolComponent, cache_dir: Path, blobs: Blobs) -> ToolCode:
    """Lays down the tool's files where they are not there already, and checks what it requires.

    Raises `Unavailable` when a requirement or the disk is missing, `Invalid` when the release's files cannot be a
    tool. Nothing is installed and nothing of the tool is run.
    """
    implementation = tool.spec.implementation
    assert isinstance(implementation, PythonImplementation)
    check_requires(implementation.requires, tool.ref)
    code_digest = tool.code_digest.removeprefix("sha256:")
    folder = cache_dir / "tools" / code_digest
    if not _is_intact(folder, tool.files):
        _lay_down(folder, tool, blobs)
    is_async = _declares_async(folder, implementation.entry, tool.ref)
    return ToolCode(tool.ref, folder, f"{PREFIX}{code_digest}", implementation.entry, is_async)


def check_requires(requires: list[str], ref: str) -> None:
    """Raises `Unavailable` naming every requirement (PEP 508) that this interpreter does not meet."""
    missing = [problem for text in requires if (problem := _unmet(text, ref))]
    if missing:
        raise Unavailable(
            f"it requires {'; '.join(missing)}",
            where=ref,
            now=f"install it beside penstock: pip install {' '.join(repr(text) for text in requires)}",
        )


def _unmet(text: str, ref: str) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise Invalid(
            f"{text!r} is no requirement: {error}",
            where=f"{ref} spec.implementation.requires",
            now="write it as PEP 508 says",
        ) from None
    if requirement.marker is not None and not requirement.marker.evaluate():
        return ""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{text}, which is not installed"
    return (
        "" if requirement.specifier.contains(installed, prereleases=True) else f"{text}, but {installed} is installed"
    )


def _is_intact(folder: Path, files: list[CodeFile]) -> bool:
    """Whether the folder holds exactly these files with exactly these bytes."""
    try:
        if set(_paths(folder)) != {file.path for file in files}:
            return False
        return all(digest_bytes((folder / file.path).read_bytes()) == file.digest for file in files)
    except OSError:
        return False


def _paths(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            yield (Path(place) / name).relative_to(folder).as_posix()


def _lay_down(folder: Path, tool: ToolComponent, blobs: Blobs) -> None:
    """Writes the files beside their place and renames the folder into it; a broken one there makes way."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name[:12]}-", dir=folder.parent))
        try:
            for file in tool.files:
                _write(scratch, file, tool.ref, blobs)
            _take_place(scratch, folder, tool.files)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise Unavailable(
            f"the tool's code cannot be written: {error.strerror or error}",
            where=str(folder),
            now="see `agentctl doctor`",
        ) from None


def _write(scratch: Path, file: CodeFile, ref: str, blobs: Blobs) -> None:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts:
        raise Invalid(f"{file.path} leads out of the tool's folder", where=ref, now="make a new version without it")
    data = blobs(file.digest)
    if digest_bytes(data) != file.digest:
        raise Invalid(f"{file.path} is not what the release says", where=ref, now="fetch the release again")
    target = scratch / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(0o755 if file.executable else 0o644)


def _take_place(scratch: Path, folder: Path, files: list[CodeFile]) -> None:
    """Another process may lay down the same files at the same time: whoever comes second keeps what is there."""
    try:
        scratch.rename(folder)
    except OSError:
        if _is_intact(folder, files):
            return
        broken = Path(tempfile.mkdtemp(prefix=".broken-", dir=folder.parent))
        try:
            if folder.exists():
                folder.rename(broken / folder.name)
            scratch.rename(folder)
        finally:
            shutil.rmtree(broken, ignore_errors=True)


def _declares_async(folder: Path, entry: str, ref: str) -> bool:
    """Whether the entry's module defines it by `async def`; read from the source, for a plain tool is not run here."""
    module, _, function = entry.partition(":")
    stem = folder.joinpath(*module.split("."))
    file = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except FileNotFoundError:
        raise Invalid(
            f"there is no {file.relative_to(folder).as_posix()}",
            where=f"{ref} spec.implementation.entry",
            now="name a file of the tool",
        ) from None
    except (SyntaxError, ValueError) as error:
        raise ToolFailed(f"{module}.py is no Python: {error}", where=ref, now="make a new version") from None
    return any(isinstance(node, ast.AsyncFunctionDef) and node.name == function for node in tree.body)
