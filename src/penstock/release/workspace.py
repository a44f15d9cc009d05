"""What the release path works on: the clone, the release store, and the database where there is one."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from penstock.registry.documents import Registry
from penstock.registry.git import Repository
from penstock.registry.layout import PIPELINE, RETIRED, TEAMS
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource
from penstock.release.people import version_authors, version_paths
from penstock.release.person import DRIVER, Person
from penstock.release.proposal import Proposer, forge_of
from penstock.settings import Settings
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore

if TYPE_CHECKING:
    from penstock.contracts.team import Teams
    from penstock.store.database import Database
    from penstock.store.records import Records
    from penstock.store.runs import RunStore


@dataclass
class Workspace:
    """One project's release path. Only what a step needs is opened: a rollback needs the release store alone.

    `given` is who acts, where that is not what `git config` says. `proposer` opens merge requests, where a project
    wants them.
    """

    settings: Settings
    releases: ReleaseStore
    given: Person | None = None
    proposer: Proposer | None = None
    _registries: dict[str, Registry] = field(default_factory=dict, repr=False)

    @cached_property
    def repository(self) -> Repository:
        """The clone; raises `Unavailable` when there is none."""
        return Repository.open(self.settings.root, self.settings.registry_url)

    @cached_property
    def database(self) -> "Database":
        """The database; raises `Unavailable` when it cannot be opened."""
        from penstock.store.depots import open_project_database

        return open_project_database(self.settings)

    @cached_property
    def person(self) -> Person:
        """Whoever acts: the one given, else as `git config` says; raises `WrongUse` if a part of that is unset."""
        return self.given or Person(*self.repository.identity())

    @property
    def actor(self) -> str:
        """The address of whoever acts."""
        return self.person.mail

    def acting_as(self, person: Person) -> "Workspace":
        """The same release path with somebody else acting; it opens its own connections."""
        return Workspace(self.settings, self.releases, person, self.proposer)

    def acting_alone(self) -> "Workspace":
        """The same release path with nobody acting: what is done is done by a rule of the pipeline."""
        return self.acting_as(Person(*self.bot, DRIVER))

    def close(self) -> None:
        """Gives the database's connections back; what is asked for later opens them anew."""
        opened = self.__dict__.pop("database", None)
        self.__dict__.pop("records", None)
        self.__dict__.pop("runs", None)
        if opened is not None:
            opened.close()

    @property
    def bot(self) -> tuple[str, str]:
        """Name and e-mail of the author of commits of `stages/`."""
        return "Penstock", self.settings.bot_email

    def fetch(self) -> str:
        """Brings the base branch up to date and returns its head; raises `Unavailable`."""
        self.repository.fetch()
        return self.base_head()

    def base_head(self) -> str:
        """The head of the base branch as last fetched; raises `Unavailable`."""
        return self.repository.base_head(self.settings.base_branch)

    def registry(self, commit: str) -> Registry:
        """The whole registry at a commit; kept, because several steps read the same one."""
        if commit not in self._registries:
            self._registries.clear()
            self._registries[commit] = load_registry(
                GitSource(self.repository, commit), default_runtime=self.settings.default_runtime
            )
        return self._registries[commit]

    def registry_of(self, commit: str, agent: str) -> Registry:
        """The registry at a commit as far as one agent's versions, the teams and the pipeline go."""
        if commit in self._registries:
            return self._registries[commit]
        return agent_registry(self.repository, commit, agent)

    def teams(self) -> "Teams | None":
        """teams.yaml of the base branch as last fetched: rights need no network. None if there is none."""
        return load_registry(GitSource(self.repository, self.base_head()), only={TEAMS}).teams

    def authors(self, registry: Registry, agent: str, version: str) -> frozenset[str]:
        """Every author of the commits that brought the version's files, as of the registry's commit, the bot apart."""
        until = registry.source.commit
        assert until is not None, "authors are asked of commits only"
        return version_authors(self.repository, until, version_paths(registry, agent, version), self.settings.bot_email)

    @cached_property
    def records(self) -> "Records":
        """The index over results, evidence, approvals and requests."""
        from penstock.store.records import Records

        return Records(self.releases, self.database)

    @cached_property
    def runs(self) -> "RunStore":
        """The stored runs."""
        from penstock.store.runs import RunStore

        return RunStore(self.database)


def open_workspace(settings: Settings) -> Workspace:
    """The workspace of a project; nothing is read or written yet."""
    store = ReleaseStore(open_objects(settings.releases))
    return Workspace(settings, store, proposer=forge_of(settings))


def agent_registry(repository: Repository, commit: str, agent: str) -> Registry:
    """The registry at a commit as far as one agent's versions, the teams and the pipeline go."""
    source = GitSource(repository, commit)
    folder = f"registry_repo/agents/{agent}/"
    paths = {path for path in source.entries() if path.startswith(folder)}
    return load_registry(source, only={PIPELINE, TEAMS, RETIRED, *paths})
