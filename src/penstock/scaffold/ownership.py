"""Who a new document belongs to, and what of the platform it starts with."""

from penstock.contracts.team import Teams
from penstock.errors import NotFound, WrongUse
from penstock.registry.documents import Registry
from penstock.registry.layout import TEAMS


def choose_owner(registry: Registry, wanted: str | None, mail: str) -> str:
    """The team asked for, else the one that `mail` is a member of, else the only one.

    Raises `NotFound` for an unknown team, `WrongUse` when there are several to choose from.
    """
    teams = registry.teams
    if teams is None:
        raise NotFound("there are no teams", where=TEAMS, now="declare one: teams: {qa: {members: [you@example.org]}}")
    known = ", ".join(teams.teams)
    if wanted is not None:
        if wanted not in teams.teams:
            raise NotFound(f"no team {wanted!r}", where=TEAMS, now=f"teams are: {known}")
        return wanted
    mine = _teams_of(teams, mail) or list(teams.teams)
    others = [team for team in mine if team != teams.platform_team] or mine
    if len(others) > 1:
        raise WrongUse("several teams may own it", where=TEAMS, now=f"choose one by --owner: {', '.join(others)}")
    return others[0]


def starting_reference(registry: Registry, folder: str, preferred: str) -> str:
    """`folder/name@version` of the newest version of `preferred`, else of the first document there.

    Raises `NotFound` if there is none at all.
    """
    retired = {*registry.retired.deprecated, *registry.retired.disabled}
    found = {name for kind, name, _ in registry.documents if kind == folder}
    names = sorted(found, key=lambda name: (name != preferred, name))
    for name in names:
        for version in reversed(registry.versions(name, folder)):
            if f"{folder}/{name}@{version}" not in retired:
                return f"{folder}/{name}@{version}"
    raise NotFound(
        f"there is nothing in registry_repo/{folder}", where=folder, now="write one; `agentctl init` shows how"
    )


def _teams_of(teams: Teams, mail: str) -> list[str]:
    wanted = mail.lower()
    return [
        name
        for name, team in teams.teams.items()
        if wanted and wanted in {address.lower() for address in (*team.members, *team.approvers)}
    ]
