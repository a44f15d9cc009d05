"""Blackouts: whether a stage is open for promotions at a moment, and when it opens or closes next. Pure.

A window of kind deny closes while it lasts; where one of kind allow is declared, all time outside of those is closed as
well. Deny wins. Times are reckoned on the clock of each window's zone, lengths in elapsed time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from penstock.contracts.document import duration_s
from penstock.contracts.pipeline import Blackout
from penstock.contracts.policy import Stage
from penstock.release.clock import stamp

HORIZON = timedelta(days=366)
"""How far ahead the next opening is looked for; what opens later is said to open at no known time."""
_LOOKS = 10_000


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a stage is closed: names and reasons of the windows, and when it opens (None: not within a year)."""

    sentence: str
    next_open: datetime | None


def windows_of(blackouts: Sequence[Blackout], agent: str, stage: Stage) -> list[Blackout]:
    """The windows that are about an agent on its way to a stage."""
    return [one for one in blackouts if stage in one.stages and any(_names(name, agent) for name in one.agents)]


def closed(windows: Sequence[Blackout], at: datetime) -> Closed | None:
    """Why nothing is promoted at `at`; None while it is open."""
    reasons = _reasons(windows, at)
    if not reasons:
        return None
    opens = next_open(windows, at)
    when = f"it opens at {stamp(opens)}" if opens is not None else "it does not open within a year"
    return Closed(f"{'; '.join(reasons)}; {when}", opens)


def next_open(windows: Sequence[Blackout], at: datetime) -> datetime | None:
    """The first moment from `at` on at which nothing closes; None if there is none within a year."""
    moment = at
    for _ in range(_LOOKS):
        if moment - at > HORIZON:
            return None
        ends = [end for one in windows if one.kind == "deny" and (end := _end(one, moment)) is not None]
        if ends:
            moment = max(ends)
        elif _is_outside(windows, moment):
            starts = [next(_starts(one, moment)) for one in windows if one.kind == "allow"]
            moment = min(starts)
        else:
            return moment
    return None


def next_close(windows: Sequence[Blackout], at: datetime) -> datetime | None:
    """When what is open at `at` closes; None while it is closed, and if it stays open for a year."""
    if _reasons(windows, at):
        return None
    changes = [next(_starts(one, at)) for one in windows if one.kind == "deny"]
    changes += [end] if (end := _allowed_until(windows, at)) is not None else []
    return min((change for change in changes if change - at <= HORIZON), default=None)


def _allowed_until(windows: Sequence[Blackout], at: datetime) -> datetime | None:
    """When the last of the allowing windows ends that follow each other from `at` on without a gap; None: none."""
    end = at
    while end - at <= HORIZON:
        later = [found for one in windows if one.kind == "allow" and (found := _end(one, end)) is not None]
        if not later:
            return end if end > at else None
        end = max(later)
    return None


def _names(pattern: str, agent: str) -> bool:
    return agent.startswith(pattern[:-1]) if pattern.endswith("*") else agent == pattern


def _reasons(windows: Sequence[Blackout], at: datetime) -> list[str]:
    denying = [one for one in windows if one.kind == "deny" and _end(one, at) is not None]
    if denying:
        return [f"blackout {one.name}: {one.reason}" for one in denying]
    if _is_outside(windows, at):
        return [f"outside of {one.name}: {one.reason}" for one in windows if one.kind == "allow"]
    return []


def _is_outside(windows: Sequence[Blackout], at: datetime) -> bool:
    allowing = [one for one in windows if one.kind == "allow"]
    return bool(allowing) and all(_end(one, at) is None for one in allowing)


def _end(window: Blackout, at: datetime) -> datetime | None:
    """When the window that lasts at `at` ends; None where none lasts."""
    lasts = timedelta(seconds=duration_s(window.duration))
    begun = next(_starts(window, at, backwards=True), None)
    return begun + lasts if begun is not None and begun + lasts > at else None


def _starts(window: Blackout, at: datetime, *, backwards: bool = False) -> Iterator[datetime]:
    """When the window begins after `at`, or (backwards) began at it or before, nearest first, in UTC."""
    zone = ZoneInfo(window.time_zone)
    start = at.astimezone(zone)
    if backwards:
        start = (at + timedelta(minutes=1)).astimezone(zone).replace(second=0, microsecond=0)
    for moment in CronSim(window.cron, start, reverse=backwards):
        found = moment.astimezone(UTC)
        if not backwards or found <= at:
            yield found
