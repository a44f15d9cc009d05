"""The guard of an executor without identity: only programs of this machine may ask, and no web page through them."""

import ipaddress
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.errors import WrongUse
from penstock.executor.problems import Problem


def require_loopback(host: str) -> None:
    """Raises `WrongUse` unless `host` is `localhost` or a loopback address."""
    if not is_loopback(host):
        raise WrongUse(
            f"{host!r} is no loopback address",
            where="--host",
            now="--insecure-dev has no identity and serves 127.0.0.1, ::1 or localhost only",
        )


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine alone; other names are never resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class LoopbackOnly:
    """Refuses requests that a browser sends for another site: a foreign `Host` (DNS rebinding) or `Origin`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._known: dict[bytes, bool] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 403."""
        if scope["type"] == "http":
            foreign = self._foreign(scope["headers"])
            if foreign is not None:
                problem = Problem(
                    403, "refused", f"{foreign.decode('latin-1')!r} is not this machine", "Host or Origin"
                )
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _foreign(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        for name, value in headers:
            if name in {b"host", b"origin"} and not self._is_ours(value):
                return value
        return None

    def _is_ours(self, value: bytes) -> bool:
        known = self._known.get(value)
        if known is None:
            authority = value.decode("latin-1").rpartition("//")[2]
            host = authority.rpartition(":")[0] if authority.rpartition("]")[2].count(":") else authority
            known = is_loopback(host)
            if len(self._known) < 1_000:
                self._known[value] = known
        return known
