"""Pipelines: canary steps that only grow, and blackouts whose times there are."""

import re
from collections.abc import Iterator
from itertools import pairwise
from zoneinfo import ZoneInfo

from penstock.contracts.document import NAME_PATTERN, duration_s
from penstock.contracts.pipeline import Blackout, Canary, CanaryStep
from penstock.registry.documents import Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.layout import PIPELINE
from penstock.registry.strict_yaml import Path

LONGEST_BLACKOUT_S = 31 * 86_400
_AGENTS = re.compile(rf"\*|{NAME_PATTERN.strip('^$')}|[a-z0-9][a-z0-9-]{{0,61}}\*")


def check_pipeline(registry: Registry, faults: FaultList) -> None:
    """What no single field of the pipeline shows."""
    if registry.pipeline is None:
        return
    spec = registry.pipeline.spec
    for where, what, hint in _canary_faults(spec.canary):
        faults.blame(PIPELINE, ("spec", "canary", *where), what, hint)
    names: set[str] = set()
    for position, blackout in enumerate(spec.blackouts):
        place: Path = ("spec", "blackouts", position)
        if blackout.name in names:
            faults.blame(PIPELINE, (*place, "name"), f"there are two blackouts {blackout.name!r}", "rename one")
        names.add(blackout.name)
        for key, what, hint in _blackout_faults(blackout):
            faults.blame(PIPELINE, (*place, key), what, hint)


def _canary_faults(canary: Canary) -> Iterator[tuple[Path, str, str]]:
    for position, step in enumerate(canary.steps):
        place: Path = ("steps", position)
        if abs(step.percent * 100 - round(step.percent * 100)) > 1e-9:
            yield (*place, "percent"), "has more than two decimals", "a hundredth of a percent is the smallest share"
        if step.percent == 0 and step.min_sessions and not any(map(_allows_anybody, canary.steps[: position + 1])):
            yield (*place, "minSessions"), "nobody meets the canary at this step", "give a percent above 0, or `allow`"
        if duration_s(step.deadline) and duration_s(step.deadline) < duration_s(step.soak):
            yield (*place, "deadline"), "is over before the soak is", "a deadline counts from the step's beginning too"
    for position, (before, after) in enumerate(pairwise(canary.steps), start=1):
        if after.percent < before.percent:
            what = f"is less than the {before.percent:g} of the step before"
            yield ("steps", position, "percent"), what, "a share that shrinks throws users back: let it grow"
    metrics = [watch.metric for watch in canary.analysis.metrics]
    for position, metric in enumerate(metrics):
        if metric in metrics[:position]:
            yield ("analysis", "metrics", position, "metric"), f"{metric!r} is watched twice", "remove one"


def _allows_anybody(step: CanaryStep) -> bool:
    return bool(step.allow.tenants or step.allow.users or step.allow.sessions)


def _blackout_faults(blackout: Blackout) -> Iterator[tuple[str, str, str]]:
    problem = cron_problem(blackout.cron)
    if problem is not None:
        yield "cron", f"is no cron time: {problem}", "five fields, as `0 16 * * 5`: Fridays at four"
    if not is_time_zone(blackout.time_zone):
        yield "timeZone", f"there is no time zone {blackout.time_zone!r}", "an IANA name, as Europe/Berlin"
    if not 0 < duration_s(blackout.duration) <= LONGEST_BLACKOUT_S:
        yield "duration", "must be more than 0 and at most 31d", "longer ones are several, or a hold"
    for agent in blackout.agents:
        if not _AGENTS.fullmatch(agent):
            yield "agents", f"{agent!r} is no agent's name", "a name, a start with a trailing *, or * for all"


def cron_problem(text: str) -> str | None:
    """What is wrong with a cron time of five fields; None if nothing is."""
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    if len(text.split()) != 5:
        return "it has not five fields"
    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return str(error).lower()
    except StopIteration:
        return "it never comes"
    return None


def is_time_zone(name: str) -> bool:
    """Whether there is an IANA time zone of that name."""
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not there; a folder of them; a name that leads out of theirs
        return False
    return True
