"""Asks an executor over HTTP, as `agentctl run --server URL` does; standard library only, so that it starts at once."""

import http.client
from collections.abc import Generator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import orjson

from penstock.errors import (
    Conflict,
    Fault,
    Invalid,
    LimitReached,
    NotFound,
    PenstockError,
    Refused,
    Unavailable,
    WrongUse,
)

CONNECT_S = 5.0
ERRORS: Mapping[int, type[PenstockError]] = {
    400: WrongUse,
    403: Refused,
    404: NotFound,
    409: Conflict,
    422: Invalid,
    429: LimitReached,
    503: Unavailable,
}


class ExecutorClient:
    """One executor, asked as one tenant and user; raises the `PenstockError` that a problem document stands for."""

    def __init__(self, url: str, *, tenant: str | None = None, user: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise WrongUse(f"{url!r} is no URL of an executor", where="--server", now="such as http://127.0.0.1:8080")
        self.url = url.rstrip("/")
        self._parts = parts
        self._headers = {"accept": "application/json"}
        if tenant:
            self._headers["x-penstock-tenant"] = tenant
        if user:
            self._headers["x-penstock-user"] = user

    def get(self, path: str) -> Any:
        """The JSON document at `path`."""
        return self._ask("GET", path, None)

    def post(self, path: str, document: Any) -> Any:
        """The JSON answer to `document`."""
        return self._ask("POST", path, document)

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """The JSON answer to a body as it is, under headers of its own."""
        return orjson.loads(self._read(method, path, body, headers))

    def read(self, path: str) -> bytes:
        """The body at `path` as it is."""
        return self._read("GET", path, None)

    def run(self, agent: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a run, however it ended; raises only when there was no run."""
        try:
            return cast(dict[str, Any], self.post(f"/v1/agents/{agent}/runs", order))
        except EndedRun as ended:
            return ended.result

    def stream(self, method: str, path: str, document: Any = None) -> Generator[dict[str, Any]]:
        """The events of a stream as they come; closing the iterator closes the connection."""
        connection, response = self._open(method, path, document)
        try:
            if response.status != 200:
                raise _error(response.status, response.read(), self.url)
            for line in response:
                if line.startswith(b"data: "):
                    yield orjson.loads(line[6:])
        except (OSError, http.client.HTTPException) as error:
            raise self._gone(error) from None
        finally:
            connection.close()

    def _ask(self, method: str, path: str, document: Any) -> Any:
        return orjson.loads(self._read(method, path, document))

    def _read(self, method: str, path: str, document: Any, more: Mapping[str, str] | None = None) -> bytes:
        connection, response = self._open(method, path, document, more)
        try:
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._gone(error) from None
        finally:
            connection.close()
        if response.status >= 300:
            raise _error(response.status, body, self.url)
        return body

    def _open(
        self, method: str, path: str, document: Any, more: Mapping[str, str] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(cast(str, self._parts.hostname), self._parts.port, timeout=CONNECT_S)
        body = document if document is None or isinstance(document, bytes) else orjson.dumps(document)
        headers = self._headers if body is None else {**self._headers, "content-type": "application/json"}
        headers = {**headers, **(more or {})}
        try:
            connection.connect()
            connection.sock.settimeout(None)  # a run takes as long as its agent's limit says
            connection.request(method, self._parts.path.rstrip("/") + path, body, headers)
            return connection, connection.getresponse()
        except BaseException as error:
            connection.close()
            if isinstance(error, (OSError, http.client.HTTPException)):
                raise self._gone(error) from None
            raise

    def _gone(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"the executor does not answer: {error or type(error).__name__}",
            where=self.url,
            now="start one with `agentctl serve --insecure-dev`, or give its --server URL",
        )


class EndedRun(PenstockError):
    """A run that did not finish: `result` is its result document."""

    def __init__(self, result: dict[str, Any]) -> None:
        error = result.get("error") or {}
        super().__init__(str(error.get("what", "")), where=str(error.get("where", "")), now=str(error.get("now", "")))
        self.result = result


def _error(status: int, body: bytes, url: str) -> PenstockError:
    try:
        problem = orjson.loads(body)
        what = str(problem["what"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return Unavailable(f"answered {status} without a problem document", where=url, now="is this an executor?")
    where, now = str(problem.get("where", "")), str(problem.get("now", ""))
    if "runStatus" in problem:
        known = {"type", "title", "status", "detail", "what", "where", "now", "runStatus"}
        result = {name: value for name, value in problem.items() if name not in known}
        return EndedRun({**result, "status": problem["runStatus"]})
    kind = ERRORS.get(status, PenstockError)
    if kind is Invalid:
        return Invalid(what, where=where, now=now, faults=[Fault(**fault) for fault in problem.get("faults", ())])
    return kind(what, where=where, now=now)
