"""What a job of the queue does: one part of what `sync` does for everything."""

import logging

from penstock.forge.bot import open_bot
from penstock.forge.check import Cancelled
from penstock.forge.queue import Job
from penstock.forge.sync import (
    Steps,
    Synced,
    bring_together,
    look_at_comments,
    look_at_promotion,
    look_at_request,
    tell_deployments,
)
from penstock.settings import Settings

LOG = logging.getLogger("penstock.forge")


def do_job(settings: Settings, job: Job, cancelled: Cancelled, steps: Steps | None = None) -> Synced:
    """Does one job by a bot of its own; what went wrong is logged, and found again by the next poll."""
    found, take = Synced(), steps or Steps()
    with open_bot(settings) as bot:
        if job.kind == "comments":
            look_at_comments(bot, job.iid, take, found, cancelled)
        elif job.kind == "promotion":
            look_at_promotion(bot, job.iid, take, found)
        elif job.kind == "request":
            look_at_request(bot, job.iid, take, found, cancelled)
        else:
            bring_together(bot, found)
        if job.kind != "request":
            tell_deployments(bot, found)
    for problem in found.problems:
        LOG.warning("%s", problem)
    return found
