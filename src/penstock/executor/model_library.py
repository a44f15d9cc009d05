"""LiteLLM, loaded in a thread once a release needs it: it takes seconds, and no run may pay for it."""

import logging
import threading
import time
from collections.abc import Iterator

from penstock.contracts.release import Release
from penstock.errors import PenstockError, Unavailable
from penstock.garbage import settle
from penstock.llm.load import load
from penstock.llm.transport import needs_litellm

LOG = logging.getLogger("penstock.executor")


class ModelLibrary:
    """The load of one process; an executor whose models all do without LiteLLM never begins it."""

    def __init__(self) -> None:
        self._problem: str | None = None
        self._thread: threading.Thread | None = None

    def load_for(self, release: Release, *, wait: bool) -> None:
        """Begins the load if the release is the first to need it; `wait` = returns once it has ended.

        Before the first table nobody is served, and readiness waits. A later table comes into force with the library:
        with `wait`, raises `Unavailable` where it cannot be loaded, and the next attempt begins anew.
        """
        if self._thread is None and needs_litellm(release):
            self._problem = None if wait else "the model library is loading"
            self._thread = threading.Thread(target=self._load, name="penstock-litellm", daemon=True)
            self._thread.start()
        if wait:
            self.wait()
            if self._problem is not None:
                problem, self._problem, self._thread = self._problem, None, None
                raise Unavailable(problem, where=release.name, now='pip install "penstock[llm]"')

    def wait(self) -> None:
        """Returns once a load that was begun has ended."""
        if self._thread is not None:
            self._thread.join()

    def reasons(self) -> Iterator[str]:
        """Why a model cannot be asked yet."""
        if self._problem is not None:
            yield self._problem

    def _load(self) -> None:
        begun = time.monotonic()
        try:
            load()
        except PenstockError as error:
            self._problem = f"the model library cannot be loaded: {error.what}"
            LOG.error("%s", error)
            return
        settle()
        self._problem = None
        LOG.info("model library loaded in %.1f s", time.monotonic() - begun)
