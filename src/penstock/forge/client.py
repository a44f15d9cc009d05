"""python-gitlab with one way to fail and one way to try again; the only module that imports it."""

import random
import threading
from email.utils import parsedate_to_datetime
from typing import Any

import gitlab
import requests
import stamina
from gitlab.exceptions import GitlabError

from penstock.errors import Conflict, NotFound, PenstockError, Refused, Unavailable
from penstock.release.clock import now

ATTEMPTS = 4
"""How often one question is asked at most, the first time included."""
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
"""Whoever asks for more patience than this gets none: the poll asks again anyway."""
TIMEOUT_S = 30.0
_NOW = {
    401: "check PENSTOCK_GITLAB_TOKEN: it may have expired",
    403: "the token needs the scope `api` and at least the role Developer (Maintainer to merge)",
    404: "check gitlab_url and gitlab_project, and that the token's project is this one",
}


class Overloaded(Unavailable):
    """GitLab gave no answer, or asked for patience (`retry_after_s`, None where it did not say)."""

    def __init__(self, what: str, *, where: str, retry_after_s: float | None = None, refused: bool = False) -> None:
        super().__init__(what, where=where, now="it is asked again by the next `agentctl gitlab sync`")
        self.retry_after_s = retry_after_s
        self.refused = refused  # a 429: nothing was done, whatever was asked


class Client(gitlab.Gitlab):
    """Raises errors of `penstock.errors` alone, and asks again only what may be asked twice.

    Reads are asked again after a network fault, a 5xx or a 429, writes after a 429 alone: that was refused unread.
    python-gitlab's own retries are off, as they wait as long as they are told to.
    """

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, private_token=token, timeout=TIMEOUT_S, per_page=100)
        self._said = threading.local()
        self.session.hooks["response"].append(self._heard)

    def http_request(self, verb: str, path: str, *args: Any, **kwargs: Any) -> requests.Response:
        """One answer of 2xx; raises `Refused`, `NotFound`, `Conflict` or `Unavailable`."""
        kwargs |= {"obey_rate_limit": False, "retry_transient_errors": False}
        attempts = [0]

        def wait_s(error: Exception) -> bool | float:
            attempts[0] += 1
            if not isinstance(error, Overloaded) or attempts[0] >= ATTEMPTS:
                return False
            if verb.lower() != "get" and not error.refused:
                return False
            wait = FIRST_WAIT_S * 2.0 ** (attempts[0] - 1) + random.uniform(0, FIRST_WAIT_S)
            wait = max(wait, error.retry_after_s or 0.0)
            return wait if wait <= LONGEST_WAIT_S else False

        stamina.instrumentation.set_on_retry_hooks(())
        for attempt in stamina.retry_context(on=wait_s, attempts=ATTEMPTS, timeout=None):
            with attempt:
                return self._once(verb, path, *args, **kwargs)
        raise AssertionError("stamina ends with an answer or raises")

    def close(self) -> None:
        """Ends its connections."""
        self.session.close()

    def _once(self, verb: str, path: str, *args: Any, **kwargs: Any) -> requests.Response:
        where = f"{verb.upper()} {self.url}{path if path.startswith('/') else ''}"
        self._said.retry_after_s = None
        try:
            answer = super().http_request(verb, path, *args, **kwargs)
        except PenstockError:
            raise
        except GitlabError as error:
            raise self._error(error, where) from None
        except requests.RequestException as error:
            raise Overloaded(f"GitLab gave no answer: {type(error).__name__}", where=where) from None
        if answer.content and "json" not in answer.headers.get("Content-Type", ""):
            raise Unavailable("the answer is not JSON", where=where, now="check that gitlab_url is a GitLab")
        return answer

    def _heard(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        self._said.retry_after_s = _seconds(answer.headers.get("Retry-After", ""))

    def _error(self, error: GitlabError, where: str) -> PenstockError:
        status = error.response_code or 0
        words = f"GitLab says {status}: {_words(error.error_message)}"
        if status == 429 or status >= 500:
            return Overloaded(words, where=where, retry_after_s=self._said.retry_after_s, refused=status == 429)
        if status in {401, 403}:
            return Refused(words, where=where, now=_NOW[status])
        if status == 404:
            return NotFound(words, where=where, now=_NOW[404])
        if status in {400, 405, 406, 409, 422}:
            return Conflict(words, where=where, now="its state is another than was thought: it is read again")
        return Refused(words, where=where, now="see the documentation of GitLab's API")


def _words(message: Any) -> str:
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    return " ".join(text.split())[:300] or "nothing more"


def _seconds(text: str) -> float | None:
    """Seconds of a Retry-After header, which names them or a date; None for anything else."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now()).total_seconds())
    except (TypeError, ValueError):
        return None
