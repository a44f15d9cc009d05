"""Who may do what on the release path, by teams.yaml of the base branch's tip. Addresses are compared in lower case."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from penstock.contracts.pipeline import ApprovalRule
from penstock.contracts.team import Team, Teams
from penstock.errors import Refused
from penstock.registry.documents import Registry
from penstock.registry.git import Repository
from penstock.registry.layout import TEAMS


@dataclass(frozen=True, slots=True)
class People:
    """The people around one agent: its owning team, the release managers and the platform team."""

    owner: str
    members: frozenset[str] = frozenset()
    approvers: frozenset[str] = frozenset()
    release_managers: frozenset[str] = frozenset()
    platform: frozenset[str] = frozenset()

    def of_rule(self, rule: ApprovalRule) -> frozenset[str]:
        """Whose approval a rule of the pipeline counts."""
        return self.approvers if rule.from_ == "owners" else self.release_managers

    @property
    def movers(self) -> frozenset[str]:
        """Who may promote, roll back, freeze, thaw, lift holds and retire."""
        return self.members | self.approvers | self.release_managers | self.platform

    def require_mover(self, mail: str, action: str) -> None:
        """Raises `Refused` unless the person may move the agent's versions."""
        if mail.lower() not in self.movers:
            raise Refused(
                f"{mail} may not {action}: neither of team {self.owner} nor a release manager or of the platform team",
                where=TEAMS,
                now="ask one of them, or set `git config user.email` to the address that teams.yaml holds",
            )

    def require_manager(self, mail: str, action: str) -> None:
        """Raises `Refused` unless the person is a release manager."""
        if mail.lower() not in self.release_managers:
            raise Refused(f"{mail} may not {action}: only a release manager may", where=TEAMS, now="ask one of them")


def people_of(teams: Teams | None, owner: str) -> People:
    """The people around an agent that `owner` owns; raises `Refused` without a teams.yaml that names the team."""
    if teams is None:
        raise Refused("nobody has rights: there is no teams.yaml on the base branch", where=TEAMS, now="add one")
    team = teams.teams.get(owner)
    if team is None:
        raise Refused(f"team {owner!r} owns the agent but is not declared", where=TEAMS, now="declare the team")
    platform = teams.teams.get(teams.platform_team) if teams.platform_team else None
    return People(
        owner,
        _lower(team.members),
        _lower(team.approvers),
        _lower(teams.release_managers),
        _everyone(platform) if platform is not None else frozenset(),
    )


def members_of_all(teams: Teams | None) -> frozenset[str]:
    """Everybody whom teams.yaml names; nobody without one."""
    if teams is None:
        return frozenset()
    mails = [mail for team in teams.teams.values() for mail in _everyone(team)]
    return frozenset(mails) | _lower(teams.release_managers)


def line_managers(teams: Teams | None) -> frozenset[str]:
    """Who starts a stopped line again: the release managers and the platform team."""
    if teams is None:
        return frozenset()
    platform = teams.teams.get(teams.platform_team) if teams.platform_team else None
    return _lower(teams.release_managers) | (_everyone(platform) if platform is not None else frozenset())


def version_authors(repository: Repository, until: str, paths: Iterable[str], bot: str) -> frozenset[str]:
    """Every author of the commits up to `until` that brought these files, the bot apart."""
    return frozenset(
        commit.author_email
        for path in sorted(set(paths))
        for commit in repository.commits(path, None, until)
        if commit.author_email != bot.lower()
    )


def version_paths(registry: Registry, agent: str, version: str) -> list[str]:
    """The files that came with a version: those of its closure that no lower version of the agent pins."""
    from penstock.registry.resolve import closure

    versions = registry.versions(agent)
    lower = versions[: versions.index(version)] if version in versions else []
    known = {part.path for one in lower for part in closure(registry, registry.agent(agent, one))}
    fresh = [part for part in closure(registry, registry.agent(agent, version)) if part.path not in known]
    paths = [part.path for part in fresh]
    for part in fresh:
        if part.reference.folder == "tools":
            code = registry.code.get((part.reference.name, part.reference.version), ())
            paths += [entry.path for entry in code]
    return paths


def _everyone(team: Team) -> frozenset[str]:
    return _lower([*team.members, *team.approvers])


def _lower(mails: Collection[str]) -> frozenset[str]:
    return frozenset(mail.lower() for mail in mails)
