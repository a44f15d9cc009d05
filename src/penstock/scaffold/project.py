"""A new project: the reference's working agent, and everything around it that a team's repository needs."""

import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from penstock import __version__
from penstock.errors import Unavailable, WrongUse
from penstock.registry.git_command import git
from penstock.scaffold.layout import lay_down
from penstock.scaffold.reference import reference_files
from penstock.scaffold.template import Laid, render_templates

BRANCH = "main"
NOBODY = "you@example.org"
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+$")
# The closure of the one agent that a new project starts with, and what checks it.
STARTER = (
    "registry_repo/agents/testcase-generator/1.0.0.yaml",
    "registry_repo/prompts/testcase-generator/1.0.0.md",
    "registry_repo/tools/requirement-search/1.0.0.yaml",
    "registry_repo/tools/requirement-search/1.0.0",
    "registry_repo/policies/default/1.0.0.yaml",
    "registry_repo/models/standard/1.0.0.yaml",
    "contract_suites/testcase-generator/suite.yaml",
    "contract_suites/testcase-generator/1.0.0",
    "datasets/requirements",
    "evals/scorers/distinct_titles.py",
    "runtimes",
    "pipelines",
)


@dataclass(frozen=True, slots=True)
class NewProject:
    """What `init` did; `commit` is empty when nothing was committed, and `reason` says why."""

    root: Path
    files: list[str]
    branch: str = ""
    commit: str = ""
    reason: str = ""


def lay_down_project(root: Path) -> NewProject:
    """Writes a project into `root` and commits it, on a new branch main if there was no repository.

    Without an identity in Git nothing is committed. Raises `Conflict` when any of its files is there already,
    `WrongUse` when `root` is a file or inside another repository, `Unavailable` when Git or the disk fails.
    """
    if root.exists() and not root.is_dir():
        raise WrongUse("is no folder", where=str(root), now="name a new or an empty folder")
    _require_no_repository(root)
    name, mail = _identity(root)
    files = lay_down(root, project_files(root.resolve().name, mail or NOBODY))
    _git(root, "init", "--quiet", f"--initial-branch={BRANCH}")
    if not name or not mail:
        reason = "Git does not know who you are: set user.name and user.email, put your address into teams.yaml, commit"
        return NewProject(root, files, reason=reason)
    _git(root, "add", "--", *files)
    _git(root, "commit", "--quiet", "--message", "Start of the project", "--", *files)
    return NewProject(root, files, _git(root, "branch", "--show-current"), _git(root, "rev-parse", "HEAD"))


def project_files(name: str, mail: str) -> dict[str, Laid]:
    """Path -> file of a new project whose only team member is `mail`."""
    runtime = "langgraph" if find_spec("langgraph") else "direct"
    plain_name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "agents"
    values = {"name": plain_name, "mail": json.dumps(mail), "version": __version__, "runtime": runtime}
    starter = {path: Laid(data) for path, data in reference_files(*STARTER).items()}
    return {**starter, **render_templates("project", values)}


def _require_no_repository(root: Path) -> None:
    place = root.resolve()
    for folder in (place, *place.parents):
        if (folder / ".git").exists() and folder != place:
            raise WrongUse(
                f"lies inside the repository {folder}", where=str(root), now="a project is a repository of its own"
            )


def _identity(root: Path) -> tuple[str, str]:
    """user.name and user.email as Git has them for a repository there; empty where unset, or no address."""
    nearest = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.is_dir())
    name, mail = (git(nearest, ["config", "--get", f"user.{key}"]).out.strip() for key in ("name", "email"))
    return name, mail.lower() if ADDRESS.match(mail) else ""


def _git(root: Path, *words: str) -> str:
    answer = git(root, words)
    if answer.status:
        raise Unavailable(
            f"git {words[0]} failed: {answer.words}",
            where=str(root),
            now="the files are written; mend this, then `git init -b main`, `git add --all` and commit",
        )
    return answer.out.strip()
