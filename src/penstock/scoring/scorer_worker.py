"""Runs a file of `evals/scorers/` in a worker process: loaded there as a package of its own, like a plain tool.

It is given the file's text and calls it once for each list of arguments. Standard library alone: its imports are the
price of a cold start.
"""

import asyncio
import inspect
import linecache
import sys
import traceback
from types import ModuleType
from typing import Any

_loaded: dict[str, ModuleType] = {}


def run(arguments: dict[str, Any], context: object) -> dict[str, Any]:
    """What `function` of the file returns for each call (`values`), or what it raised and where (`raised`)."""
    path = str(arguments["path"])
    try:
        function = getattr(_module(path, arguments["source"]), arguments["function"])
        return {"values": [_settled(function(*one["arguments"], **one["parameters"])) for one in arguments["calls"]]}
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        place = f" (line {lines[-1]})" if lines else ""
        return {"raised": f"{type(error).__name__}: {error}{place}"[:2000]}


def _module(path: str, source: str) -> ModuleType:
    """The file's module, executed once in this process; the process serves one text alone."""
    if path not in _loaded:
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        module = ModuleType("own_scorer")
        module.__file__ = path
        sys.modules["own_scorer"] = module
        exec(compile(source, path, "exec"), module.__dict__)
        _loaded[path] = module
    return _loaded[path]


def _settled(returned: Any) -> Any:
    return asyncio.run(returned) if inspect.iscoroutine(returned) else returned
