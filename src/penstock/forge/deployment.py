"""Environments and deployments: what the routing tables say, told to GitLab once for each change of an agent's place.

A generation in which an agent's version in dev, canary or prod changed is one deployment to that environment of the
agent (`prod/clerk`), the same that the jobs of a child pipeline name. What was told is marked in the release store; a
crash before the mark is found again by the deployment itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import orjson

from penstock.contracts.policy import Stage
from penstock.contracts.routing_table import AgentRoutes, Entry, RoutingTable
from penstock.errors import Conflict, NotFound
from penstock.forge.bot import Bot
from penstock.forge.child_pipeline import environment_of
from penstock.gates.context import STAGES
from penstock.release.clock import moment_of, stamp
from penstock.store.objects import ObjectStore

FOLDER = "deployments/"
SKEW = timedelta(minutes=10)
"""How far GitLab's clock and ours may differ."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version that came to an environment with a generation of the routing table."""

    generation: int
    stage: Stage
    agent: str
    version: str
    commit: str
    since: str

    @property
    def environment(self) -> str:
        """Its name in GitLab."""
        return environment_of(self.agent, self.stage)["name"]

    @property
    def mark(self) -> str:
        """The object that says that GitLab knows of it."""
        return f"{FOLDER}{self.generation:012d}/{self.stage}.{self.agent}.json"


def put_deployments(bot: Bot) -> list[Deployment]:
    """Tells GitLab of what changed since the last time, oldest first; returns what was told now.

    The first time it tells of everything that stands. While another process does it, nothing.
    """
    releases = bot.workspace.releases
    table = releases.newest_table()
    if table is None or table.generation == bot.deployed:
        return []
    try:
        with bot.locked("gitlab", "deployments", f"deployments of routing table {table.generation}"):
            told = _told(releases.objects)
            fresh = [one for found in _tables(bot, table, told) for one in _changes(*found)]
            done = [one for one in fresh if _tell(bot, one)]
            releases.objects.create(_done(table.generation), b"{}")
    except Conflict:
        return []
    bot.deployed = table.generation
    return done


def _tables(bot: Bot, newest: RoutingTable, told: int) -> list[tuple[RoutingTable | None, RoutingTable]]:
    """The tables that GitLab was not told of, each with the one that it took the place of; oldest first."""
    found: list[tuple[RoutingTable | None, RoutingTable]] = []
    table = newest
    while table.generation > told:
        number = table.source.previous_generation
        before = bot.workspace.releases.table(number) if number is not None and told else None
        found.append((before, table))
        if before is None:
            break
        table = before
    return found[::-1]


def _changes(before: RoutingTable | None, table: RoutingTable) -> Iterator[Deployment]:
    for agent, routes in table.agents.items():
        commit = table.source.commit if table.overlay.get(agent) else routes.commit or table.source.commit
        known = before.agents.get(agent) if before is not None else None
        for stage in STAGES:
            old = {one.version for one in _entries(known, stage)}
            for entry in _entries(routes, stage):
                if entry.version not in old and commit is not None:
                    yield Deployment(table.generation, stage, agent, entry.version, commit, table.created_at)


def _entries(routes: AgentRoutes | None, stage: Stage) -> list[Entry]:
    """What stands in a stage; of dev the version that came last, as GitLab knows one deployment at a time."""
    if routes is None:
        return []
    if stage == "dev":
        return list(routes.dev[-1:])
    entry = routes.canary if stage == "canary" else routes.prod
    return [entry] if entry is not None else []


def _tell(bot: Bot, one: Deployment) -> bool:
    """Whether GitLab had to be told."""
    objects = bot.workspace.releases.objects
    if objects.get(one.mark) is not None:
        return False
    found = _known(bot, one)
    if found is None:
        data = {"environment": one.environment, "sha": one.commit, "ref": bot.settings.base_branch, "tag": False}
        try:
            made = bot.connection.project.deployments.create({**data, "status": "success"})
        except NotFound:  # a commit that GitLab has lost: there is nothing to show it at
            return False
        objects.create(one.mark, orjson.dumps({"deployment": made.id}))
        return True
    objects.create(one.mark, orjson.dumps({"deployment": found}))
    return False


def _known(bot: Bot, one: Deployment) -> int | None:
    """The deployment that a crash kept from being marked; None if there is none."""
    made = moment_of(one.since)
    after = {"updated_after": stamp(made - SKEW)} if made is not None else {}
    listed = bot.connection.all(
        bot.connection.project.deployments, environment=one.environment, order_by="updated_at", sort="asc", **after
    )
    marked = _marked(bot.workspace.releases.objects, one)
    return next((int(it["id"]) for it in listed if it["sha"] == one.commit and it["id"] not in marked), None)


def _marked(objects: ObjectStore, one: Deployment) -> set[int]:
    """The deployments to the same environment that marks of other generations name."""
    names = [name for name in objects.list(FOLDER) if name.endswith(f"/{one.stage}.{one.agent}.json")]
    return {int(orjson.loads(objects.get(name) or b"{}").get("deployment", 0)) for name in names}


def _told(objects: ObjectStore) -> int:
    """The last generation that GitLab knows all of; 0 before the first."""
    done = [name for name in objects.list(FOLDER) if name.endswith("/done.json")]
    return int(done[-1].split("/")[1]) if done else 0


def _done(generation: int) -> str:
    return f"{FOLDER}{generation:012d}/done.json"
