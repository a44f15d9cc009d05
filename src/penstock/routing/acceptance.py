"""What whoever serves says of a release before a table that names it comes into force, as that its tools are loaded."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.contracts.release import Release
from penstock.errors import PenstockError, Unavailable

Accept = Callable[[Release], None]
"""Returns once the release can be served; raises what stands against it. It may block, and is called in any thread."""

RETRY_S = 5.0


@dataclass(slots=True)
class _Asked:
    """One asking: `problem` holds once `ended` is set."""

    begun: float = field(default_factory=time.monotonic)
    ended: threading.Event = field(default_factory=threading.Event)
    problem: PenstockError | None = None

    def is_spent(self) -> bool:
        return self.ended.is_set() and self.problem is not None and time.monotonic() - self.begun >= RETRY_S


class Acceptance:
    """Asks once for each release, in a thread of its own: code that hangs must not keep a rollback from coming in.

    A no is asked again after `RETRY_S`, for a full disk is mended one day.
    """

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._asked: dict[str, _Asked] = {}

    def refusal(self, release: Release, patience_s: float) -> PenstockError | None:
        """Why the release cannot be served, None if it can; raises `Unavailable` while that is not known yet.

        Waits for an answer only where it asks, and no longer than `patience_s`.
        """
        asked = self._asked.get(release.digest)
        if asked is not None and not asked.is_spent():
            patience_s = 0.0
        else:
            asked = self._asked[release.digest] = _Asked()
            threading.Thread(target=self._ask, args=(release, asked), name="penstock-load", daemon=True).start()
        if not asked.ended.wait(patience_s):
            raise Unavailable(
                "it is still being loaded", where=_name(release), now="if it stays so, see what its tools do at import"
            )
        return asked.problem

    def _ask(self, release: Release, asked: _Asked) -> None:
        try:
            self._accept(release)
        except PenstockError as error:
            asked.problem = error
        except BaseException as error:  # a tool's code ran: it may raise anything
            asked.problem = PenstockError(f"unexpected: {error!r}", where=_name(release), now="report this as a bug")
        finally:
            asked.ended.set()


def _name(release: Release) -> str:
    return f"{release.name}@{release.version}"
