"""`agentctl gitlab`: merge requests checked and answered, promotions merged, by webhooks or by a poll."""

import os
import threading
from typing import TYPE_CHECKING

import click
import orjson

from penstock.cli.context import project_settings
from penstock.cli.extra import require_installed
from penstock.cli.output import json_option, say, show, write
from penstock.cli.subject import reason_option, workspace_here
from penstock.errors import Unavailable

if TYPE_CHECKING:
    from penstock.forge.bot import Bot

SLEEP_S = 86_400.0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def gitlab() -> None:
    """Works with the project's GitLab (settings gitlab_url, gitlab_project; token in PENSTOCK_GITLAB_TOKEN)."""


@gitlab.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8090, show_default=True, help="0 = any free one.")
@json_option
def serve(host: str, port: int, as_json: bool) -> int:
    """Receives webhooks at /gitlab/webhook and does what they ask for. SIGTERM or SIGINT ends it.

    It begins only with PENSTOCK_GITLAB_WEBHOOK_TOKEN or PENSTOCK_GITLAB_SIGNING_SECRET set; with both, both must hold.
    The first line on stdout is the bound URL (with --json: {"url", "pid"}).
    """
    settings = project_settings()
    require_installed(("gitlab", "standardwebhooks", "starlette", "uvicorn"), "gitlab")
    from penstock.forge.connection import SIGNING_SECRET, WEBHOOK_TOKEN, open_connection
    from penstock.forge.job import do_job
    from penstock.forge.queue import JobQueue
    from penstock.forge.serving import serve_app
    from penstock.forge.webhook import Secrets, build_app

    open_connection(settings).client.close()  # so that what is missing is said now, not by the first job
    secrets = Secrets(os.environ.get(WEBHOOK_TOKEN, ""), os.environ.get(SIGNING_SECRET, ""))

    def announce(url: str) -> None:
        write(orjson.dumps({"url": url, "pid": os.getpid()}).decode() if as_json else url)

    queue = JobQueue(lambda job, cancelled: do_job(settings, job, cancelled))
    app = build_app(queue, secrets, project=settings.gitlab_project, base_branch=settings.base_branch)
    with queue:
        serve_app(app, host, port, announce)
    return 0


@gitlab.command()
@click.option("--watch", "watch_s", type=click.FloatRange(1, SLEEP_S), metavar="SECONDS", help="Look again and again.")
@json_option
def sync(watch_s: float | None, as_json: bool) -> int:
    """Does everything that webhooks would have asked for, found again from GitLab and Git.

    Comments, promotions, checks of merge requests, statuses that nobody ended, environments and deployments. Exit
    status 1: something stood in the way; 3: the environment failed.
    """
    from penstock.forge.bot import open_bot

    with open_bot(project_settings()) as bot:
        while True:
            status = _sync(bot, as_json=as_json)
            if watch_s is None:
                return status
            threading.Event().wait(watch_s)


@gitlab.command()
@click.argument("iid", metavar="MERGE_REQUEST", type=click.IntRange(min=1))
@json_option
def check(iid: int, as_json: bool) -> int:
    """Checks the head of one merge request now, and shows it there: status, note, discussions."""
    from penstock.forge.bot import open_bot
    from penstock.forge.review import review

    with open_bot(project_settings()) as bot:
        done = review(bot, iid, again=True)
    document = {"mergeRequest": iid, "head": done.head, "outcome": done.outcome, "sentence": done.sentence}
    show(document, f"!{iid} {done.head[:12]}: {done.outcome}: {done.sentence}", as_json=as_json)
    return {"passed": 0, "errored": Unavailable.exit_code}.get(done.outcome, 1)


@gitlab.command()
@json_option
def locks(as_json: bool) -> int:
    """Lists the locks that are held: on an agent and a stage, or on what is done at GitLab."""
    from penstock.release.lock import locks_held

    held = locks_held(workspace_here().releases.objects)
    lines = [
        f"{one.agent} {one.stage}: {one.owner} since {one.since}, until {one.expires_at}"
        f"{' (expired: anyone may take it)' if one.has_expired else ''}{f': {one.about}' if one.about else ''}"
        for one in held
    ]
    show([one.as_document() for one in held], "\n".join(lines) or "no lock is held", as_json=as_json)
    return 0


@gitlab.command()
@click.argument("agent")
@click.argument("stage")
@reason_option()
@json_option
def unlock(agent: str, stage: str, reason: str, as_json: bool) -> int:
    """Breaks the lock on AGENT and STAGE, as `locks` names them; its holder stops at its next step."""
    from penstock.release.lock import unlock as break_lock
    from penstock.release.urgent import clean_reason

    workspace = workspace_here()
    broken = break_lock(workspace.releases.objects, agent, stage, workspace.actor, clean_reason(reason))
    show(broken.as_document(), f"{agent} {stage}: the lock of {broken.owner} is broken", as_json=as_json)
    return 0


@gitlab.command()
@json_option
def status(as_json: bool) -> int:
    """Checks what the bot needs: settings, token, project, its role, the webhook's secrets, promotions, locks.

    Exit status 1: something is missing; 3: GitLab is away.
    """
    from penstock.forge.readiness import readiness

    lines = readiness(project_settings(), workspace_here())
    text = "\n".join(f"[{'ok' if one.ok else 'no'}] {one.about}: {one.what}" for one in lines)
    show([one.as_document() for one in lines], text, as_json=as_json)
    failed = [one for one in lines if not one.ok]
    return max((one.exit_code for one in failed), default=0)


def _sync(bot: "Bot", *, as_json: bool) -> int:
    """One look; what went wrong is said, so that `--watch` goes on."""
    from penstock.forge.sync import sync as look

    found = look(bot)
    show(found.as_document(), "\n".join(found.done) or "nothing to do", as_json=as_json)
    for problem in found.problems:
        say(f"  not done: {problem}")
    return found.exit_status
