"""One line a request, where that is asked for: method, path, status, duration, trace; never a query or a body."""

import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("penstock.access")


class AccessLog:
    """Logs each request of an app once it is answered; stands in its path only where it is wanted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, and logs it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, answer = time.monotonic(), dict[str, Any]()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
                for name, value in message.get("headers", ()):
                    if name == b"traceparent":
                        answer["traceId"] = value[3:35].decode()
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            duration_ms = round((time.monotonic() - begun) * 1000, 3)
            fields = {"method": scope["method"], "path": scope["path"], **answer, "durationMs": duration_ms}
            words = " ".join(str(fields[name]) for name in ("method", "path", "status", "durationMs") if name in fields)
            LOG.info(words, extra={"fields": fields})
