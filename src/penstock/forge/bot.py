"""The bot: one project at GitLab and its release path, as one worker holds them."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from penstock.forge.connection import Connection, open_connection
from penstock.release.lock import Lock, locked
from penstock.release.reconcile import require_own_store
from penstock.release.workspace import Workspace, open_workspace
from penstock.settings import Settings

CHECK_S = 1_800.0
"""How long one merge request's check may take, seconds."""


@dataclass
class Bot:
    """What the parts of this package act with. `check_s` bounds one check, seconds."""

    settings: Settings
    workspace: Workspace
    connection: Connection
    check_s: float = CHECK_S
    finished: set[int] = field(default_factory=set)
    """Comments whose commands are known to be answered, so that no poll asks again."""
    deployed: int = 0
    """The generation of the routing table that GitLab is known to know of."""
    final: set[str] = field(default_factory=set)
    """Commits whose statuses are known to be final."""
    has_store: bool = False

    @property
    def owner(self) -> str:
        """How locks name this process."""
        return f"penstock on {socket.gethostname()}, process {os.getpid()}"

    def is_mine(self, author: object) -> bool:
        """Whether an author, as GitLab's JSON has one, is the bot itself."""
        return isinstance(author, dict) and author.get("id") == self.connection.me["id"]

    @contextmanager
    def locked(self, agent: str, stage: str, about: str) -> Iterator[Lock]:
        """Holds the lock on an agent and a stage; raises `Conflict` while somebody else does."""
        self._open_store()
        with locked(self.workspace.releases.objects, agent, stage, self.owner, about=about) as lock:
            yield lock

    def _open_store(self) -> None:
        """A new project's store is made by whoever needs it first; one that went away is never made anew."""
        if not self.has_store:
            require_own_store(self.workspace, self.workspace.base_head())
            self.workspace.releases.lineage(create=True)
            self.has_store = True


@contextmanager
def open_bot(settings: Settings) -> Iterator[Bot]:
    """The bot of a project; its connections are closed at the end."""
    workspace = open_workspace(settings)
    with open_connection(settings) as connection:
        try:
            yield Bot(settings, workspace, connection)
        finally:
            workspace.close()
