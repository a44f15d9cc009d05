"""Who somebody at GitLab is on the release path: a person with an address, or nobody."""

from penstock.contracts.team import Teams
from penstock.errors import Refused
from penstock.forge.bot import Bot
from penstock.forge.connection import DEVELOPER, Json
from penstock.registry.layout import TEAMS
from penstock.release.person import Person

FORGE = "gitlab"


def person_of(bot: Bot, user: Json, *, least: int = DEVELOPER) -> Person:
    """The person behind a user of GitLab, who must be a member of the project at `least` at that access level.

    The address is the one that `accounts` of teams.yaml, on the base branch's tip, gives the user name, else the public
    e-mail address of the account, which GitLab has made sure of. Raises `Refused` for all others.
    """
    name = str(user.get("username", ""))
    member = bot.connection.member(int(user["id"]))
    if bot.connection.access_level(member) < least:
        raise Refused(f"@{name} is no member of the project with at least the role Developer", now="ask a member")
    mail = _declared(bot.workspace.teams(), name) or str((member or {}).get("public_email") or "")
    if not mail:
        raise Refused(
            f"nothing says whose account @{name} is",
            where=TEAMS,
            now=f"add `{name}` to `accounts` there, or show the account's e-mail address in its public profile",
        )
    return Person(str(user.get("name") or name), mail.lower(), FORGE)


def _declared(teams: Teams | None, name: str) -> str:
    accounts = teams.accounts if teams is not None else {}
    return next((mail for account, mail in accounts.items() if account.lower() == name.lower()), "")
