"""JsonlAnswer: many JSON values, a line each, sent as they are read."""

import logging
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from penstock.errors import PenstockError

LOG = logging.getLogger("penstock.executor")


class JsonlAnswer(StreamingResponse):
    """Ends without its last chunk where a line cannot be read: the client sees that it is not whole."""

    media_type = "application/jsonl"

    @classmethod
    async def of(cls, lines: Iterator[Any]) -> "JsonlAnswer":
        """An answer of these lines, which are read in a thread.

        The first one is read before the answer begins: what raises there is told as any other refusal.
        """
        first = await run_in_threadpool(lambda: list(islice(lines, 1)))
        return cls(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in chain(first, lines))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the lines."""
        try:
            await super().__call__(scope, receive, send)
        except PenstockError as problem:
            LOG.warning("an answer ended before its last line: %s", problem)
