"""ResultCache: results of tools that only read, given again to equal calls."""

from collections.abc import Hashable, Mapping
from typing import Any

import orjson

from penstock.contracts.canonical import canonical
from penstock.engine.cache.shelf import CacheShelf
from penstock.engine.call import RunCall
from penstock.engine.compiled import CompiledTool

Key = tuple[Hashable, bytes]


class ResultCache:
    """The results that one process remembers, by tenant, tool at its version and code, params and arguments.

    Live runs alone find and keep any, and only of tools that declare it and do not write.
    """

    def __init__(self, shelf: CacheShelf[bytes] | None = None) -> None:
        self._shelf: CacheShelf[bytes] = shelf or CacheShelf()

    def find(self, call: RunCall, tool: CompiledTool, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of an equal call that is young enough."""
        if not _is_cached(call, tool):
            return None
        found = self._shelf.find(*_key(call, tool, arguments))
        result: dict[str, Any] | None = orjson.loads(found) if found is not None else None
        return result

    def keep(self, call: RunCall, tool: CompiledTool, arguments: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Remembers a result that was checked."""
        cache = tool.spec.cache
        if cache is None or not _is_cached(call, tool):
            return
        part, key = _key(call, tool, arguments)
        data = canonical(result)
        self._shelf.keep(part, key, data, size=len(data) + len(key), ttl_s=cache.ttl_s, entries=cache.entries)


def _is_cached(call: RunCall, tool: CompiledTool) -> bool:
    spec = tool.spec
    return spec.cache is not None and spec.side_effects != "write" and call.mode == "live" and call.uses_cache


def _key(call: RunCall, tool: CompiledTool, arguments: Mapping[str, Any]) -> Key:
    component = tool.component
    part = (call.tenant, component.ref, component.digest, component.code_digest)
    return part, canonical({"arguments": arguments, "params": component.params})
