"""A project on one screen: a temporary Git repository with exactly the files that a test names."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from penstock.registry.git import Repository

AUTHOR = ("Ada Author", "author@example.org")
PYPROJECT = '[tool.penstock]\ndriver = "ci"\ndefault_runtime = "direct"\n'


@dataclass(frozen=True)
class Project:
    """A project's root, its repository and, if there is one, the bare remote called origin."""

    root: Path
    remote: Path | None = None

    @property
    def repository(self) -> Repository:
        """The repository, opened anew."""
        return Repository.open(self.root)

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Writes files into the working tree; None removes one."""
        for path, content in files.items():
            place = self.root / path
            if content is None:
                place.unlink()
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(
        self,
        files: Mapping[str, str | bytes | None] | None = None,
        message: str = "Change",
        author: tuple[str, str] = AUTHOR,
    ) -> str:
        """Writes files and commits all of the working tree; returns the commit's id."""
        self.write(files or {})
        self.git("add", "--all")
        name, mail = author
        identity = ("-c", f"user.name={name}", "-c", f"user.email={mail}")
        self.git(*identity, "commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str) -> None:
        """Starts a branch here and checks it out."""
        self.git("checkout", "--quiet", "-b", name)

    def push(self, branch: str = "main") -> None:
        """Pushes a branch to the bare remote."""
        self.git("push", "--quiet", "origin", branch)

    def clone(self, folder: Path, author: tuple[str, str] = AUTHOR) -> "Project":
        """Another clone of the bare remote, with its own local identity."""
        assert self.remote is not None, "project(..., remote=True) has one"
        _git(folder.parent, "clone", "--quiet", str(self.remote), str(folder))
        cloned = Project(folder, self.remote)
        cloned.identify(author)
        return cloned

    def identify(self, author: tuple[str, str]) -> None:
        """Sets the clone's own user.name and user.email."""
        self.git("config", "user.name", author[0])
        self.git("config", "user.email", author[1])

    def git(self, *words: str) -> str:
        """Runs git in the project and returns what it printed; raises `CalledProcessError`."""
        return _git(self.root, *words)


def project(files: Mapping[str, str | bytes], root: Path | None = None, *, remote: bool = False) -> Project:
    """A committed project on branch main with these files, in `root` or in a new temporary folder.

    A pyproject.toml and a .gitignore are added where `files` has none. With `remote` there is a bare repository
    beside it, called origin, that main is pushed to and tracks.
    """
    folder = root or Path(mkdtemp(prefix="penstock-")) / "project"
    folder.mkdir(parents=True, exist_ok=True)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    bare = folder.with_name(f"{folder.name}.git") if remote else None
    made = Project(folder, bare)
    made.identify(AUTHOR)
    made.commit({"pyproject.toml": PYPROJECT, ".gitignore": ".penstock/\n__pycache__/\n", **files}, "Start")
    if bare is not None:
        _git(folder, "clone", "--quiet", "--bare", str(folder), str(bare))
        made.git("remote", "add", "origin", str(bare))
        made.git("fetch", "--quiet", "origin")
        made.git("branch", "--quiet", "--set-upstream-to=origin/main", "main")
    return made


def _git(folder: Path, *words: str) -> str:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    surroundings |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "LC_ALL": "C"}
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, timeout=60, env=surroundings, check=False
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, ["git", *words], done.stdout, done.stderr)
    return done.stdout.strip()
