"""The executor as a process of its own, with a model that answers at the pace that the input asks for.

    python -m penstock.testing.paced_executor PROJECT SEEN [PORT]

The input is {"text", "delayMs"?, "fault"?, "tool"?}; the answer is the text's words, each after `delayMs`. With `tool`
the model first asks for that tool with the text. SEEN is a file that gets a line for each model call that began, ended
or was cancelled, or `-`. PACED_DRAIN_S is how long a shutdown waits. GET /tasks says how many tasks its loop has.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import orjson
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.executor.app import build_app
from penstock.executor.executor import Executor
from penstock.executor.server import Listening, serve
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ToolRequest, Usage
from penstock.settings import load_settings

DRAIN_S = "5"


class PacedProvider:
    """A model without a network: its answer is what it was told, word by word."""

    def __init__(self, seen: Path | None) -> None:
        self._seen = seen

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The input's text; raises `ModelFailed` when the input asks for a fault."""
        order = orjson.loads(str(next(one["content"] for one in reversed(call.messages) if one["role"] == "user")))
        text = str(order["text"])
        if order.get("tool") and call.messages[-1]["role"] == "user":
            request = ToolRequest("asked", str(order["tool"]), json.dumps({"text": text}))
            return ModelAnswer(None, (request,), Usage(1, 1, 0.0), "tool_calls")
        words = text.split(" ")
        self._note(f"began {text}")
        is_watched = order.get("delayMs") or call.on_delta is not None
        try:
            for index, word in enumerate(words if is_watched else ()):
                if order.get("delayMs"):
                    await asyncio.sleep(order["delayMs"] / 1000)
                if call.on_delta is not None:
                    call.on_delta(f" {word}" if index else word)
        except asyncio.CancelledError:
            self._note(f"cancelled {text}")
            raise
        if order.get("fault"):
            retryable = order["fault"] != "final"
            raise ModelFailed("the model fell over", where="paced model", now="ask again", retryable=retryable)
        self._note(f"ended {text}")
        output_usd = call.price.output_usd_per_1m if call.price is not None else 0.0
        return ModelAnswer(text, (), Usage(len(call.messages), len(words), len(words) * output_usd / 1_000_000))

    def _note(self, line: str) -> None:
        if self._seen is not None:
            with self._seen.open("a") as file:
                file.write(line + "\n")


class CountedTasks:
    """The executor's app, and beside it the number of tasks of its loop: what leaks shows there first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http" and scope["path"] == "/tasks":
            await PlainTextResponse(str(len(asyncio.all_tasks())))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def main() -> None:
    """Serves until a signal ends it; the URL is the first line of the output."""
    project, seen, *port = sys.argv[1:]
    provider = PacedProvider(None if seen == "-" else Path(seen))
    executor = Executor(load_settings(Path(project)), provider=provider, drains_apart=True)
    drain_s = float(os.environ.get("PACED_DRAIN_S", DRAIN_S))
    listening = Listening("127.0.0.1", int(port[0]) if port else 0, drain_s)
    serve(executor, CountedTasks(build_app(executor)), listening, lambda url: print(url, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
