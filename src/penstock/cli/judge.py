"""`agentctl judge`: scores the live runs that suites ask for."""

import asyncio
import time
from typing import TYPE_CHECKING, Any, NoReturn

import click

from penstock.cli.output import json_option, say, show
from penstock.cli.subject import workspace_here
from penstock.errors import Unavailable, WrongUse
from penstock.release.workspace import Workspace
from penstock.store.period import since as parse_since

if TYPE_CHECKING:
    from penstock.contracts.eval_suite import EvalSpec
    from penstock.registry.documents import Registry
    from penstock.scoring.online import OnlinePass

WATCH_S = 5.0


@click.command()
@click.argument("agent", required=False)
@click.option("--once", is_flag=True, help="One pass over what is waiting (the default).")
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--since", default="7d", show_default=True, metavar="PERIOD", help="Runs that started since: 24h, 7d.")
@json_option
def judge(agent: str | None, once: bool, watch: bool, since: str, as_json: bool) -> int:
    """Scores the share of live runs that suites declare by `online`, of all agents or of one, within the day's budget.

    Runs are scored after they ended, each once, whoever asks and how often. What a judge cannot say is kept and tried
    again later, five times in all. Exit status 1 when a scorer failed on a run or the budget left runs waiting.
    """
    if once and watch:
        raise WrongUse("--once and --watch exclude each other", where="agentctl judge", now="give one of them")
    parse_since(since)
    workspace = workspace_here()
    if watch:
        _watch(workspace, agent, since, as_json=as_json)
    done = _pass(workspace, *_suites(workspace, agent), since)
    _show(done, as_json=as_json)
    return 1 if any(one.failed or one.stopped for one in done) else 0


def _watch(workspace: Workspace, agent: str | None, since: str, *, as_json: bool) -> NoReturn:
    """Pass after pass, as soon as something is due; what was done is shown each time. Ends by an interrupt only."""
    from penstock.release.online_judge import due_scores

    said: object = None
    while True:
        registry, suites = _suites(workspace, agent)
        if any(due_scores(workspace.settings, suites, parse_since(since)).values()):
            done = _pass(workspace, registry, suites, since)
            stops = [one.stopped for one in done]
            if stops != said or any(one.scored or one.failed for one in done):
                _show(done, as_json=as_json)
            said = stops
        time.sleep(WATCH_S)


def _suites(workspace: Workspace, agent: str | None) -> "tuple[Registry, dict[str, EvalSpec]]":
    from penstock.release.online_judge import online_suites

    try:
        head = workspace.fetch()
    except Unavailable as error:
        say(f"the suites are those that were fetched last: {error.what}")
        head = workspace.base_head()
    registry = workspace.registry(head)
    return registry, online_suites(registry, agent)


def _pass(workspace: Workspace, registry: "Registry", suites: "dict[str, EvalSpec]", since: str) -> "list[OnlinePass]":
    from penstock.release.online_judge import judge_online

    return asyncio.run(judge_online(workspace.settings, registry, suites, parse_since(since)))


def _show(done: "list[OnlinePass]", *, as_json: bool) -> None:
    document = {"agents": [one.as_document() for one in done]}
    show(document, "\n".join(map(_text, document["agents"])) or "no suite says `online`", as_json=as_json)
    for problem in (problem for one in done for problem in one.problems):
        say(problem)


def _text(one: dict[str, Any]) -> str:
    lines = [
        f"{one['agent']}: {one['scored']} scored, {one['failed']} failed, {one['backlog']} waiting; "
        f"{one['costUsd']:.4f} USD, {one['spentTodayUsd']:.4f} USD today"
    ]
    if one["stopped"]:
        lines.append(f"  left for later: {one['stopped']}")
    return "\n".join(lines)
