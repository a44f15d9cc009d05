"""What `agentctl doctor` looks at: one function a check, each of which answers with findings and changes nothing."""

import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from penstock.errors import NotFound, PenstockError
from penstock.settings import Settings, load_settings

if TYPE_CHECKING:
    from penstock.registry.git import Repository

Status = Literal["ok", "warn", "fail"]

PYTHON = (3, 11)
REMOTE_S = 15.0
CLOCK_TOLERANCE_S = 5.0
# Extra -> the distribution that it brings, and what is not there without it.
EXTRAS = {
    "llm": ("litellm", "no model can be called, no suite recorded"),
    "server": ("fastapi", "`agentctl serve` cannot start"),
    "langgraph": ("langgraph", "the runtime langgraph is not there"),
    "dagster": ("dagster", "`agentctl dev` has no release dashboard"),
    "objects": ("obstore", "releases can be kept in a folder only"),
    "postgres": ("psycopg", "only SQLite can be the database"),
    "notify": ("cloudevents", "nobody is told of changes"),
}
OBJECT_STORES = ("s3://", "gs://", "az://")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what is checked, how it stands, what to do now. `exit_code` counts where it fails."""

    check: str
    status: Status
    what: str
    now: str = ""
    exit_code: int = 3


Check = Callable[[Settings], Iterable[Finding]]


def examine(project: str | None) -> list[Finding]:
    """All findings: of the machine, and of the project if there is one. A check that fails hides no other."""
    findings = [python_version(), *git_program()]
    try:
        settings = load_settings(Path(project) if project else None)
    except PenstockError as error:
        return [*findings, *extras(), _failed("settings", error)]
    findings += [*extras(settings), Finding("settings", "ok", f"{settings.root}, driver = {settings.driver}")]
    for name, check in CHECKS.items():
        try:
            findings += check(settings)
        except PenstockError as error:
            findings.append(_failed(name, error))
    return findings


def python_version() -> Finding:
    """The interpreter; Penstock needs 3.11."""
    found = platform.python_version()
    if sys.version_info < PYTHON:
        return Finding("python", "fail", f"{found}, too old", "install Python 3.11")
    return Finding("python", "ok", f"{found} at {sys.executable}")


def git_program() -> Iterator[Finding]:
    """The git program, and who it says commits here."""
    from penstock.registry.git_command import git

    try:
        said = git(Path.cwd(), ["--version"]).out.strip()
    except PenstockError as error:
        yield _failed("git", error)
        return
    yield Finding("git", "ok", said.removeprefix("git version "))


def extras(settings: Settings | None = None) -> Iterator[Finding]:
    """Each optional part with its version; a missing one fails only where the settings ask for it."""
    needed = _needed_extras(settings) if settings is not None else set()
    for extra, (distribution, without) in EXTRAS.items():
        try:
            yield Finding(f"extra {extra}", "ok", f"{distribution} {version(distribution)}")
        except PackageNotFoundError:
            status: Status = "fail" if extra in needed else "warn"
            yield Finding(f"extra {extra}", status, f"not installed: {without}", f"pip install 'penstock[{extra}]'")


def _needed_extras(settings: Settings) -> set[str]:
    needed = {
        "objects": settings.releases.startswith(OBJECT_STORES),
        "postgres": settings.database.startswith("postgres"),
        "dagster": settings.driver == "dagster",
        "langgraph": settings.default_runtime == "langgraph",
        "notify": bool(settings.notify_url),
    }
    return {extra for extra, is_needed in needed.items() if is_needed}


def state_folder(settings: Settings) -> Iterator[Finding]:
    """Whether local state, cache and spool can be written."""
    for name, folder in (("state", settings.state), ("cache", settings.cache), ("spool", settings.spool)):
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        try:
            with tempfile.TemporaryFile(dir=nearest):
                yield Finding(name, "ok", f"{folder} can be written")
        except OSError as error:
            yield Finding(name, "fail", f"{folder} cannot be written: {error.strerror}", f"see the rights of {nearest}")


def repository(settings: Settings) -> Iterator[Finding]:
    """The clone, who commits in it, its base branch and its remote."""
    from penstock.registry.git import Repository

    clone = Repository.open(settings.root, settings.registry_url)
    yield _identity(clone)
    yield from _remote(settings, clone)
    head = clone.base_head(settings.base_branch)
    if (settings.root / ".git" / "shallow").exists():
        now = "`git fetch --unshallow` (in GitLab CI: GIT_DEPTH: 0)"
        yield Finding("base branch", "fail", "the clone is shallow: immutability cannot be judged", now)
        return
    yield Finding("base branch", "ok", f"{settings.base_branch} at {head[:12]}")
    yield _clock(f"the head of {settings.base_branch}", clone.commit(head).time)


def _identity(clone: "Repository") -> Finding:
    try:
        name, mail = clone.identity()
    except PenstockError as error:
        return Finding("identity", "warn", error.what, error.now)
    return Finding("identity", "ok", f"{name} <{mail}>, self-declared")


def _remote(settings: Settings, clone: "Repository") -> Iterator[Finding]:
    from penstock.registry.git_command import git

    if not clone.has_remote():
        yield Finding("remote", "ok", "none: the local branch is what counts")
        return
    answer = git(settings.root, ["ls-remote", "--heads", clone.remote, settings.base_branch], timeout_s=REMOTE_S)
    if answer.status:
        said = answer.words.splitlines()[0] if answer.words else "no answer"
        yield Finding("remote", "fail", f"{clone.remote} cannot be read: {said}", "check the network and your rights")
    elif not answer.out.strip():
        now = f"push {settings.base_branch}, or set base_branch in [tool.penstock]"
        yield Finding("remote", "fail", f"{clone.remote} has no branch {settings.base_branch}", now, 1)
    else:
        yield Finding("remote", "ok", f"{clone.remote} answers")


def registry(settings: Settings) -> Iterator[Finding]:
    """Whether the working tree's registry can be read, and has no faults; and its runtimes."""
    from penstock.registry.load import load_registry
    from penstock.registry.source import TreeSource

    found = load_registry(TreeSource(settings.root), default_runtime=settings.default_runtime)
    if found.faults:
        count = len(found.faults)
        yield Finding("registry", "fail", f"{count} faults, first {found.faults[0]}", "`agentctl validate`", 1)
    else:
        yield Finding("registry", "ok", f"{len(found.documents)} documents, {len(found.agents())} agents")
    if settings.default_runtime not in found.runtimes:
        now = f"declare it, or set default_runtime to one of: {', '.join(found.runtimes) or 'none is declared'}"
        yield Finding("runtimes", "fail", f"the default runtime {settings.default_runtime} is not declared", now, 1)
    for name, declaration in sorted(found.runtimes.items()):
        yield _runtime(name, declaration.spec.runtime, declaration.spec.versions, name == settings.default_runtime)


def _runtime(name: str, distribution: str, versions: str, is_default: bool) -> Finding:
    """Whether what a runtime's declaration asks for is installed; the default one must be."""
    from packaging.specifiers import SpecifierSet

    status: Status = "fail" if is_default else "warn"
    check, now = f"runtime {name}", f"pip install '{distribution}{versions}'"
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        return Finding(check, status, f"{distribution} is not installed", now)
    if not SpecifierSet(versions).contains(installed, prereleases=True):
        return Finding(check, status, f"{distribution} {installed} is not in {versions}", now)
    return Finding(check, "ok", f"{distribution} {installed}{', the default' if is_default else ''}")


def release_store(settings: Settings) -> Iterator[Finding]:
    """The release store: whether it answers, which one it is, and how far its clock is from ours."""
    from penstock.store.objects import open_objects
    from penstock.store.releases import ReleaseStore

    if "://" not in settings.releases and not Path(settings.releases).exists():
        if settings.releases_url:
            yield Finding("release store", "fail", f"{settings.releases} is not there", "mount or create the folder")
        else:
            yield Finding("release store", "ok", f"{settings.releases}: none yet, the first release makes it")
        return
    store = ReleaseStore(open_objects(settings.releases))
    try:
        lineage = store.lineage()
    except NotFound:
        yield Finding("release store", "ok", f"{store.url}: empty, the first release makes its lineage")
        return
    table = store.newest_table()
    generation = f"generation {table.generation}" if table is not None else "no routing table yet"
    yield Finding("release store", "ok", f"{store.url}: lineage {lineage}, {generation}")
    if table is not None:
        yield _clock("the newest routing table", table.created_at)


def _clock(what: str, at: str) -> Finding:
    """Nothing that was written can be of the future: else one of two clocks is wrong."""
    ahead_s = (datetime.fromisoformat(at) - datetime.now(UTC)).total_seconds()
    if ahead_s > CLOCK_TOLERANCE_S:
        now = "set this machine's clock (NTP), or that of who published it"
        return Finding("clock", "warn", f"{what} is {ahead_s:.0f} s in the future", now)
    return Finding("clock", "ok", f"{what} is of the past")


def database(settings: Settings) -> Iterator[Finding]:
    """The database: whether it answers and has this program's schema. A SQLite file that is not there is not made."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(settings.database)
    except ArgumentError:
        yield Finding("database", "fail", "PENSTOCK_DATABASE_URL is no SQLAlchemy URL", "such as sqlite:///store.db", 1)
        return
    place = url.render_as_string(hide_password=True)
    from penstock.store.database import is_missing, open_database
    from penstock.store.migrate import HEAD

    if is_missing(settings.database):
        yield Finding("database", "ok", f"{place}: none yet, its first use makes it")
        return
    open_database(settings.database).close()
    yield Finding("database", "ok", f"{place}, schema {HEAD}")


def _failed(check: str, error: PenstockError) -> Finding:
    where = f"{error.where}: " if error.where else ""
    return Finding(check, "fail", f"{where}{error.what}", error.now, 3 if error.exit_code == 3 else 1)


CHECKS: dict[str, Check] = {
    "state": state_folder,
    "repository": repository,
    "registry": registry,
    "release store": release_store,
    "database": database,
}
