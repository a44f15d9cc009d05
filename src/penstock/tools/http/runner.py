"""HttpToolRunner: tools that are one HTTP request each.

Redirects are not followed, no proxy is used, and addresses are judged when a connection is made: `address`.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from penstock.contracts.release import ToolComponent
from penstock.contracts.tool import HttpImplementation
from penstock.errors import PenstockError
from penstock.http_session import KEEP_ALIVE_S, BodyTooLong, LoopSessions, load_aiohttp, read_bounded, retry_after_s
from penstock.pal import ToolFailed, ToolInvocation
from penstock.tools.deadline import in_time
from penstock.tools.http.address import AddressRefused, ToolHosts
from penstock.tools.http.template import HttpRequest, RequestTemplate
from penstock.tools.secret import declared_secrets, masked

RESULT_BYTES = 1024 * 1024
"""Most bytes of an answer."""
_SAID_CHARACTERS = 300
_CREDENTIALS = frozenset({401, 403, 407})
_RETRYABLE = frozenset({429, 502, 503, 504})
_NO_TIME_LOST = "try again later"


class HttpToolRunner:
    """Runs HTTP tools (`tools.kinds`). `tool_hosts` is the setting; `resolver` stands in for the system's (tests).

    Raises `WrongUse` for a bad entry of `tool_hosts`.
    """

    def __init__(
        self, tool_hosts: Sequence[str] = (), secrets: Mapping[str, str] | None = None, resolver: Any = None
    ) -> None:
        self._secrets = os.environ if secrets is None else secrets
        self._hosts = ToolHosts(tool_hosts)
        self._templates: dict[str, RequestTemplate] = {}
        self._guarded = LoopSessions(
            lambda aiohttp: aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=KEEP_ALIVE_S,
                use_dns_cache=False,
                resolver=resolver,
                socket_factory=self._hosts.socket,
            )
        )
        self._listed = LoopSessions(
            lambda aiohttp: aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, use_dns_cache=False)
        )

    def load(self, tools: Sequence[ToolComponent]) -> None:
        """Takes the declarations apart; raises `Unavailable` where aiohttp is not installed."""
        load_aiohttp()
        for tool in tools:
            self._template(tool)

    async def run(self, tool: ToolComponent, call: ToolInvocation) -> dict[str, Any]:
        """The answer's JSON object; raises `ToolFailed`, and nothing else but a cancel, which closes the connection."""
        template = self._template(tool)
        secrets = declared_secrets(tool.document["spec"].get("secrets", ()), self._secrets, tool.ref)
        request = template.request(call, tool.params, secrets)
        is_listed = self._hosts.lists(template.scheme, template.host, template.port)
        try:
            session = await (self._listed if is_listed else self._guarded).session()
            async with in_time(tool, call):
                return await _asked(session, request, tool.ref, secrets)
        except ToolFailed:
            raise
        except PenstockError as error:
            raise ToolFailed(error.what, where=error.where or tool.ref, now=error.now) from error

    async def aclose(self) -> None:
        """Closes the connections of the running loop."""
        await self._guarded.close()
        await self._listed.close()

    def close(self) -> None:
        """Nothing is held outside of event loops."""

    def _template(self, tool: ToolComponent) -> RequestTemplate:
        found = self._templates.get(tool.digest)
        if found is None:
            spec = tool.spec
            assert isinstance(spec.implementation, HttpImplementation)
            found = RequestTemplate(spec.implementation, spec.side_effects == "write", tool.ref)
            self._templates[tool.digest] = found
        return found


async def _asked(session: Any, request: HttpRequest, ref: str, secrets: Mapping[str, str]) -> dict[str, Any]:
    aiohttp = load_aiohttp()
    yarl = aiohttp.client.URL
    try:
        response = await session.request(
            request.method,
            yarl(request.url, encoded=True),
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
        )
        try:
            return _result(response, await read_bounded(response, RESULT_BYTES), ref, secrets)
        finally:
            response.release()  # closes the connection, unless all was read
    except BodyTooLong:
        raise ToolFailed(f"its answer is longer than {RESULT_BYTES} bytes", where=ref) from None
    except aiohttp.ClientResponseError:
        raise ToolFailed("its answer is no HTTP", where=ref, now="see the tool's url") from None
    except (aiohttp.ClientError, OSError) as error:
        raise _unconnected(error, ref) from None


def _result(response: Any, body: bytes, ref: str, secrets: Mapping[str, str]) -> dict[str, Any]:
    status = response.status
    if not 200 <= status < 300:
        raise _refused(response, body, ref, secrets)
    if not body:
        return {}
    try:
        result = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ToolFailed("its answer is no JSON", where=ref) from None
    if not isinstance(result, dict):
        raise ToolFailed(f"its result is {type(result).__name__}, not a JSON object", where=ref)
    return result


def _refused(response: Any, body: bytes, ref: str, secrets: Mapping[str, str]) -> ToolFailed:
    status = response.status
    if status < 400:
        return ToolFailed(f"it answered {status}; redirects are not followed", where=ref, now="see the tool's url")
    said = masked(" ".join(body.decode("utf-8", "replace").split()), secrets)[:_SAID_CHARACTERS]
    what = f"it answered {status}{f': {said}' if said else ''}"
    if status not in _RETRYABLE:
        return ToolFailed(what, where=ref, request_at_fault=status < 500 and status not in _CREDENTIALS)
    asked = response.headers.get("retry-after")
    wait_s = retry_after_s(asked) if asked is not None else None
    return ToolFailed(what, where=ref, now=_NO_TIME_LOST, retryable=True, retry_after_s=wait_s)


def _unconnected(error: Exception, ref: str) -> ToolFailed:
    if isinstance(getattr(error, "os_error", error), AddressRefused):
        what = "its host resolves to an address that is neither public nor in the setting tool_hosts"
        return ToolFailed(what, where=ref, now="ask the platform team to list the host")
    return ToolFailed("the connection to it failed", where=ref, now=_NO_TIME_LOST, retryable=True)
