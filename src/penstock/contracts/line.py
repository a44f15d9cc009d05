"""Stopping the line: nothing of the whole project is promoted until somebody starts it again."""

from penstock.contracts.canonical import digest
from penstock.contracts.document import Digest, Record


class LineStop(Record):
    """line/stops/<hex>.json"""

    who: str
    name: str = ""
    identified_by: str = "git-config"
    at: str
    reason: str

    @property
    def digest(self) -> str:
        """The stop's name in the store."""
        return digest(self.as_document())


class LineStart(Record):
    """line/starts/<hex of the stop>.json"""

    stop: Digest
    who: str
    name: str = ""
    identified_by: str = "git-config"
    at: str
    reason: str
