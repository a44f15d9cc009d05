"""A tool's code: the entry is there, the folder belongs to a version, the requirements can be read.

What an http tool has instead is judged in `http_tool_checks`.
"""

import ast
import re

from penstock.contracts.tool import PythonImplementation
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.http_tool_checks import check_http_tool
from penstock.registry.layout import document_path


def check_code(registry: Registry, faults: FaultList) -> None:
    """Every tool has its entry; every folder of code has its tool."""
    for tool in registry.of("tools"):
        if isinstance(tool.spec.implementation, PythonImplementation):
            _check_entry(registry, tool, faults)
            _check_requires(tool, faults)
        else:
            check_http_tool(registry, tool, faults)
    for (name, version), entries in registry.code.items():
        path = document_path("tools", name, version)
        if path not in registry.source.entries():
            faults.blame_file(entries[0].path, f"belongs to no tool: {path} is missing", "add it, or remove the folder")


def _check_entry(registry: Registry, tool: Loaded, faults: FaultList) -> None:
    module, _, function = tool.spec.implementation.entry.partition(":")
    place = ("spec", "implementation", "entry")
    folder = tool.path.removesuffix(".yaml")
    stem = f"{folder}/{module.replace('.', '/')}"
    entries = registry.source.entries()
    path = next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if path in entries), None)
    if path is None:
        faults.blame(tool.path, place, f"no file {stem}.py", "add it, or name another module")
        return
    if not entries[path].is_plain:
        return
    text = registry.source.read(path).decode("utf-8", "replace")
    if re.search(rf"^(?:async +)?def +{function}\b", text, re.MULTILINE):
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", 0) or 0, getattr(error, "offset", 0) or 0
        faults.blame_line(path, line, column, f"is no Python: {getattr(error, 'msg', error)}", "mend it")
        return
    if function not in _names(tree):
        faults.blame(tool.path, place, f"{path} has no function {function!r}", "add it, or name another one")


def _names(tree: ast.Module) -> set[str]:
    """What a module's top level defines, imports included."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def _check_requires(tool: Loaded, faults: FaultList) -> None:
    if not tool.spec.implementation.requires:
        return
    from packaging.requirements import InvalidRequirement, Requirement

    for position, text in enumerate(tool.spec.implementation.requires):
        try:
            Requirement(text)
        except InvalidRequirement as error:
            place = ("spec", "implementation", "requires", position)
            faults.blame(tool.path, place, f"is no requirement: {str(error).splitlines()[0]}", "such as httpx>=0.28")
