"""The process in which a plain `def` tool runs: `python -I -m penstock.tools.worker`, driven by worker_process.py.

Requests and answers are JSON, one a line, over the pipes that stood in for stdin and stdout; what the tool prints goes
to stderr. The worker ends, with whatever the tool started in its process group, when its stdin does: so it never
outlives the process that asked. Imports stay few, for they are the price of a cold start.
"""

import inspect
import json
import logging
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from penstock.tools.context import ToolContext
from penstock.tools.package import import_entry
from penstock.tools.try_again import is_retryable, retry_after_s

Request = dict[str, Any]


def main() -> None:
    """Serves requests until stdin ends."""
    requests, answers = _take_pipes()
    waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    start = waiting.get()
    _bound_memory(start["memoryBytes"])
    try:
        tool = import_entry(Path(start["folder"]), start["package"], start["entry"])
    except BaseException as error:
        _send(answers, {"error": _said(error)}, start["resultBytes"])
        return
    _send(answers, {"ready": True}, start["resultBytes"])
    asked = os.getpid()
    while True:
        answer = _answer(tool, waiting.get())
        if os.getpid() != asked:  # a fork of the tool came back from the call too: one question has one answer
            os._exit(0)
        _send(answers, answer, start["resultBytes"])


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, out of the tool's reach: its stdin is empty, its stdout is stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, answers


def _read(requests: BinaryIO, waiting: "queue.SimpleQueue[Request]") -> None:
    """Hands requests over; at the end of stdin ends the whole process group, a tool that runs included."""
    for line in requests:
        waiting.put(json.loads(line))
    os.killpg(0, signal.SIGKILL)


def _bound_memory(memory_bytes: int) -> None:
    """The address space that the tool may use; some systems do not hold it, and a lower limit in force stays."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    except (ValueError, OSError):
        logging.getLogger("penstock.tool").warning("memory cannot be bounded on this system")


def _answer(tool: Callable[..., Any], request: Request) -> dict[str, Any]:
    context = ToolContext(
        call_id=request["callId"],
        idempotency_key=request["idempotencyKey"],
        deadline=request["deadline"],
        params=request["params"],
        secrets=request["secrets"],
        traceparent=request.get("traceparent"),
    )
    try:
        result = tool(request["arguments"], context)
        if inspect.iscoroutine(result):
            import asyncio  # tens of milliseconds that a plain tool does not need

            result = asyncio.run(result)
    except BaseException as error:
        return {"error": _said(error), "retryable": is_retryable(error), "retryAfterS": retry_after_s(error)}
    return {"result": result}


def _send(answers: BinaryIO, answer: dict[str, Any], result_bytes: int) -> None:
    """Writes one line; an answer that is no JSON or too long is an error instead."""
    try:
        line = json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        line = json.dumps({"error": f"its result is no JSON: {error}"}).encode("utf-8", "replace")
    if len(line) > result_bytes:
        line = json.dumps({"error": f"its result has {len(line)} bytes, more than {result_bytes}"}).encode()
    answers.write(line + b"\n")
    answers.flush()


def _said(error: BaseException) -> str:
    """What the tool raised, in one line; its traceback goes to stderr."""
    logging.getLogger("penstock.tool").error("the tool raised", exc_info=error)
    return f"{type(error).__name__}: {error}"[:2000]


if __name__ == "__main__":
    main()
