"""The import of a tool's folder as a package of its own, `penstock_tool_<digest>`.

Nothing here asks sys.path for a tool's module, and no byte code is read or written: what runs is the source whose
digest was checked. Imports stay few, for a worker pays for them at every start.
"""

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

PREFIX = "penstock_tool_"

_lock = threading.RLock()


class _SourceOnly(SourceFileLoader):
    """Compiles the source each time; a stale or forged .pyc has no say."""

    def get_code(self, fullname: str) -> CodeType | None:
        source_path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(source_path), source_path)


class _ToolFinder(MetaPathFinder):
    """Finds the modules below a tool's package, in its folder alone."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX) or path is None:
            return None
        for folder in path:
            spec = FileFinder(folder, (_SourceOnly, [".py"])).find_spec(fullname)
            if spec is not None:
                return spec
        return None


def import_entry(folder: Path, package: str, entry: str) -> Callable[..., Any]:
    """The function `module:function` of the tool in `folder`; raises whatever its import raises.

    A package that was imported before is not imported again. One whose import failed leaves nothing behind.
    """
    module_name, _, function = entry.partition(":")
    with _lock:
        _open_package(folder, package)
        try:
            module = importlib.import_module(f"{package}.{module_name}")
            return _function(module, function)
        except BaseException:
            forget(package)
            raise


def forget(package: str) -> None:
    """Removes the package and its modules from the interpreter; calls that run go on."""
    with _lock:
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        raise AttributeError(f"{module.__name__.rpartition('.')[2]}.py has no function {name!r}")
    return found  # type: ignore[no-any-return]


def _open_package(folder: Path, package: str) -> None:
    if package in sys.modules:
        return
    if not any(isinstance(finder, _ToolFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ToolFinder())
    start = folder / "__init__.py"
    spec = ModuleSpec(package, _SourceOnly(package, str(start)) if start.is_file() else None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    try:
        if spec.loader is not None:
            spec.loader.exec_module(module)
    except BaseException:
        forget(package)
        raise
