"""The demo's stage: a bare Git remote, three clones with their own identities, and the commands run in them."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from penstock.errors import PenstockError, WrongUse

MARKER = ".penstock-demo"
COMMAND_TIMEOUT_S = 180


@dataclass(frozen=True)
class Person:
    """Somebody with a clone; the identity is self-declared, by `git config` of that clone alone."""

    role: str
    name: str
    mail: str


AUTHOR = Person("author", "Ada Author", "author@example.com")
APPROVER = Person("approver", "Ben Approver", "approver@example.com")
MANAGER = Person("release manager", "Mia Manager", "release-manager@example.com")
PEOPLE = (AUTHOR, APPROVER, MANAGER)


@dataclass
class Stage:
    """The scratch folder: `registry.git` is the remote; `author`, `approver` and `release-manager` are clones of it."""

    folder: Path
    quiet: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def remote(self) -> Path:
        """The bare repository that everybody pushes to."""
        return self.folder / "registry.git"

    @property
    def environment(self) -> dict[str, str]:
        """What every command of the demo sees: one release store and one database for all clones."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "GIT_"))}
        return {
            **kept,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "PENSTOCK_RELEASES_URL": str(self.folder / "releases"),
            "PENSTOCK_DATABASE_URL": f"sqlite:///{self.folder / 'store.db'}",
        }

    def clone_of(self, person: Person) -> Path:
        """The person's clone."""
        return self.folder / person.mail.split("@")[0]

    def say(self, text: str = "") -> None:
        """A line of the story."""
        if not self.quiet:
            click.echo(text)

    def scene(self, title: str) -> None:
        """A heading, with the seconds since the demo began."""
        self.say(f"\n── {title}  [{time.monotonic() - self.started:.0f} s]")

    def agentctl(self, person: Person, *words: str, expect: int = 0) -> dict[str, Any]:
        """Runs one command as that person and returns its JSON document; raises if it ends otherwise than expected."""
        self.say(f"   {person.role} $ agentctl {' '.join(_quoted(word) for word in words)}")
        command = [sys.executable, "-m", "penstock.cli.main", *words, "--json"]
        done = self._run(command, self.clone_of(person))
        if done.returncode != expect:
            raise PenstockError(
                f"agentctl {' '.join(words)} ended with {done.returncode}, not {expect}:\n{done.stdout}{done.stderr}",
                where=str(self.clone_of(person)),
                now="this is a fault of the demo; the folder is kept",
            )
        document = json.loads(done.stdout or "{}")
        return document if isinstance(document, dict) else {"items": document}

    def git(self, person: Person, *words: str, show: bool = True) -> str:
        """Runs git in the person's clone and returns what it printed."""
        if show:
            self.say(f"   {person.role} $ git {' '.join(_quoted(word) for word in words)}")
        return self._git(self.clone_of(person), *words)

    def raise_curtain(self) -> None:
        """Makes the folder anew; refuses one that holds anything but an earlier demo."""
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / MARKER).exists():
            raise WrongUse(
                "is not empty and no earlier demo", where=str(self.folder), now="name another folder by --dir"
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / MARKER).write_text("made by agentctl demo\n")
        self._git(self.folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))

    def join(self, person: Person) -> None:
        """Gives the person a clone with an identity of its own."""
        clone = self.clone_of(person)
        self._git(self.folder, "clone", "--quiet", str(self.remote), str(clone))
        self._git(clone, "config", "user.name", person.name)
        self._git(clone, "config", "user.email", person.mail)

    def _git(self, folder: Path, *words: str) -> str:
        done = self._run(["git", *words], folder)
        if done.returncode:
            raise PenstockError(
                f"git {' '.join(words)}: {done.stderr.strip()}", where=str(folder), now="is git installed?"
            )
        return done.stdout.strip()

    def _run(self, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word
