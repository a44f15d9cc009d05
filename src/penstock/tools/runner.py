"""PythonToolRunner: python tools at their pinned code, behind the engine's tool door.

`async def` runs here, in the caller's event loop; a plain `def` runs in a worker process that is killed at the deadline
or at a cancel. Which of the two a tool is stands in its source: a plain tool's code is never run in this process.
"""

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from penstock.contracts.release import ToolComponent
from penstock.errors import PenstockError
from penstock.pal import ToolFailed, ToolInvocation
from penstock.tools.code import Blobs, ToolCode, load_code
from penstock.tools.context import ToolContext
from penstock.tools.deadline import in_time
from penstock.tools.package import import_entry
from penstock.tools.secret import declared_secrets, masked
from penstock.tools.try_again import is_retryable, retry_after_s
from penstock.tools.watchdog import Watchdog
from penstock.tools.worker_pool import WorkerPool

BLOCK_MS = 250
"""How long an async tool may keep the loop from turning before it is named, milliseconds."""

Function = Callable[[dict[str, Any], ToolContext], Awaitable[Any]]
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class LoadedTool:
    """A tool that can be called: `function` is None where a worker calls it."""

    code: ToolCode
    function: Function | None
    secret_names: list[str]


class PythonToolRunner:
    """Runs python tools (`tools.kinds`). `cache_dir` keeps their code; `secrets` is where declared ones come from.

    `block_ms` is the watchdog's limit, milliseconds; `workers` bounds the processes of one tool's code.
    """

    def __init__(
        self,
        cache_dir: Path,
        blobs: Blobs,
        secrets: Mapping[str, str] | None = None,
        *,
        block_ms: int = BLOCK_MS,
        workers: int = 4,
    ) -> None:
        self._cache_dir = cache_dir
        self._blobs = blobs
        self._secrets = os.environ if secrets is None else secrets
        self._watchdog = Watchdog(block_ms)
        self._pool = WorkerPool(per_code=workers)
        self._loaded: dict[Key, LoadedTool] = {}
        self._lock = threading.Lock()

    def load(self, tools: Sequence[ToolComponent]) -> None:
        """Makes tools ready; a release counts as loaded only once this returned.

        Blocks while files are written, async tools imported, and a first worker of each plain one started. Raises
        `Unavailable`, `Invalid` or `ToolFailed`.
        """
        for tool in tools:
            loaded = self._load(tool)
            if loaded.function is None:
                self._pool.warm(loaded.code, self._hear(tool.ref, loaded.secret_names))

    async def run(self, tool: ToolComponent, call: ToolInvocation) -> dict[str, Any]:
        """The tool's result, not yet checked against its schema; raises `ToolFailed`, and nothing else but a cancel."""
        try:
            loaded = self._loaded.get(_key(tool))
            if loaded is None:
                loaded = await asyncio.to_thread(self._load, tool)
        except ToolFailed:
            raise
        except PenstockError as error:
            raise ToolFailed(error.what, where=error.where or tool.ref, now=error.now) from error
        secrets = declared_secrets(loaded.secret_names, self._secrets, tool.ref)
        try:
            async with in_time(tool, call):
                result = await self._call(loaded, tool, call, secrets)
        except TimeoutError as error:
            raise _raised(error, tool.ref, secrets) from error
        if not isinstance(result, dict):
            raise ToolFailed(f"its result is {type(result).__name__}, not a JSON object", where=tool.ref)
        return result

    def close(self) -> None:
        """Ends the watchdog and the workers."""
        self._watchdog.close()
        self._pool.close()

    async def _call(
        self, loaded: LoadedTool, tool: ToolComponent, call: ToolInvocation, secrets: Mapping[str, str]
    ) -> Any:
        if loaded.function is None:
            return await self._ask_worker(loaded, tool, call, secrets)
        params = _copy(tool.params)
        context = ToolContext(call.call_id, call.idempotency_key, call.deadline, params, secrets, call.traceparent)
        with self._watchdog.watch(loaded.code, call.call_id):
            try:
                return await loaded.function(_copy(call.arguments), context)
            except (TimeoutError, ToolFailed):
                raise
            except (Exception, SystemExit) as error:
                raise _raised(error, tool.ref, secrets) from error

    async def _ask_worker(
        self, loaded: LoadedTool, tool: ToolComponent, call: ToolInvocation, secrets: Mapping[str, str]
    ) -> Any:
        request = {
            "callId": call.call_id,
            "idempotencyKey": call.idempotency_key,
            "deadline": call.deadline,
            "params": tool.params,
            "secrets": secrets,
            "traceparent": call.traceparent,
            "arguments": call.arguments,
        }
        try:
            return await self._pool.ask(loaded.code, request, self._hear(tool.ref, loaded.secret_names))
        except ToolFailed as error:
            raise ToolFailed(
                masked(error.what, secrets),
                where=tool.ref,
                now=error.now,
                retryable=error.retryable,
                retry_after_s=error.retry_after_s,
            ) from None

    def _hear(self, ref: str, names: list[str]) -> Callable[[str], None]:
        """What a worker prints is logged, without its secrets."""
        log = logging.getLogger("penstock.tool")
        secrets = {name: self._secrets[name] for name in names if name in self._secrets}
        return lambda line: log.info("%s: %s", ref, masked(line, secrets))

    def _load(self, tool: ToolComponent) -> LoadedTool:
        key = _key(tool)
        with self._lock:
            if key not in self._loaded:
                code = load_code(tool, self._cache_dir, self._blobs)
                self._loaded[key] = LoadedTool(code, _function(code), tool.spec.secrets)
            return self._loaded[key]


def _function(code: ToolCode) -> Function | None:
    """The imported function of an async tool; None for a plain one, also where a decorator made it plain."""
    if not code.is_async:
        return None
    try:
        function = import_entry(code.folder, code.package, code.entry)
    except (Exception, SystemExit) as error:
        raise ToolFailed(
            f"it cannot be imported: {type(error).__name__}: {error}", where=code.ref, now="see the tool's code"
        ) from error
    return function if inspect.iscoroutinefunction(function) else None


def _key(tool: ToolComponent) -> Key:
    """What a loaded tool depends on: its document and its files, not what an agent sets beside the reference."""
    return (tool.digest, *((file.path, file.digest) for file in tool.files))


def _copy(value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that the tool may change: the original is journalled, and shared by calls."""
    return orjson.loads(orjson.dumps(value)) if value else {}


def _raised(error: BaseException, ref: str, secrets: Mapping[str, str]) -> ToolFailed:
    return ToolFailed(
        masked(f"{type(error).__name__}: {error}"[:2000], secrets),
        where=ref,
        retryable=is_retryable(error),
        retry_after_s=retry_after_s(error),
    )
