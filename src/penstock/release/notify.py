"""Notify: tells the endpoint of the project what changed, once a generation, at least once, and never in the way.

A mark in the release store says up to which generation everything was told. It is written after the last event of a
generation was delivered: a crash in between tells some of them again, with the same ids, and loses none.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from penstock.contracts.routing_table import RoutingTable
from penstock.errors import Invalid, NotFound, PenstockError, Unavailable, WrongUse
from penstock.release.clock import now, stamp
from penstock.release.crash_point import step
from penstock.release.endpoint import Endpoint, Sender
from penstock.release.notice import TYPE_PREFIX, Notice, notices
from penstock.release.workspace import Workspace
from penstock.store.releases import ReleaseStore
from penstock.store.told import ToldGenerations

FOREGROUND_S = 5.0
RESERVE_S = 0.2
"""Of the time allowed, what is kept for saying how it went."""


@dataclass(slots=True)
class Notified:
    """What was told, and what kept the rest from being told (None: nothing is due).

    `generation` is the one up to which all is told; None when nothing is asked for, or nothing can be said of it.
    """

    told: list[Notice] = field(default_factory=list)
    generation: int | None = None
    error: PenstockError | None = None

    @property
    def problem(self) -> str:
        """One sentence for whoever drives; empty when all is told."""
        if self.error is None:
            return ""
        where = f"{self.error.where}: " if self.error.where else ""
        return f"not everybody is told yet: {where}{self.error.what}"

    def as_document(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "told": [notice.as_document() for notice in self.told],
            "generation": self.generation,
            "problem": self.error.as_dict() if self.error is not None else None,
        }


def notify_changes(workspace: Workspace, *, within_s: float = FOREGROUND_S, pause_s: float = 0.0) -> Notified:
    """Tells what is due, oldest first, within so many seconds in all; never raises: what is wrong is in the result.

    Nothing happens without `notify_url`. What there was no time for is told by the next call. With `pause_s`, for
    whoever calls often, nothing is tried so many seconds after a trial that did not go well, anybody's.
    """
    if not workspace.settings.notify_url:
        return Notified()
    found = Notified()
    deadline = time.monotonic() + within_s
    # A name that does not resolve, or an answer that comes a byte at a time, is bounded by no timeout but this one.
    teller = threading.Thread(
        target=_tell_safely, args=(workspace, found, deadline - RESERVE_S, pause_s), name="penstock-notify", daemon=True
    )
    teller.start()
    teller.join(within_s)
    if not teller.is_alive():
        return found
    late = Unavailable(f"there was no end to it within {within_s:g} s", where="notify_url", now="it is told next time")
    return Notified(list(found.told), found.generation, late)


def due_notices(workspace: Workspace) -> list[Notice]:
    """What the next call of `notify_changes` tells; writes nothing. Before the first use that is nothing."""
    last = ToldGenerations(workspace.releases.objects).last()
    return [] if last is None else [one for _, due in _due(workspace, last) for one in due]


def skip_due(workspace: Workspace) -> int:
    """Leaves out all that is due: telling goes on after the table in force, whose generation is returned."""
    generation, told = workspace.releases.highest_generation(), ToldGenerations(workspace.releases.objects)
    if told.last() is None:
        return told.begin(generation)
    told.mark(generation)
    return generation


def send_test(workspace: Workspace, *, within_s: float = FOREGROUND_S) -> dict[str, Any]:
    """Sends one event of type dev.penstock.release.test and returns it; raises what stands against it."""
    if not workspace.settings.notify_url:
        raise WrongUse("there is nobody to tell", where="notify_url", now="set it in [tool.penstock]")
    lineage, at = workspace.releases.lineage(), stamp(now())
    head = {"id": f"{lineage}/test/{at}", "source": f"urn:uuid:{lineage}", "type": f"{TYPE_PREFIX}test"}
    event = {**head, "subject": "test", "time": at, "data": {"kind": "test"}}
    with Endpoint(workspace.settings.notify_url, time.monotonic() + within_s).connected() as sender:
        sender.send(event)
    return event


def _tell_safely(workspace: Workspace, found: Notified, deadline: float, pause_s: float) -> None:
    try:
        _tell(workspace, found, deadline, pause_s)
    except PenstockError as error:
        found.error = error
    except Exception as error:  # whoever promotes must not fail for whoever listens
        what = f"unexpected: {type(error).__name__}"
        found.error = PenstockError(what, where="notify_url", now="`agentctl notify` tries it again")


def _tell(workspace: Workspace, found: Notified, deadline: float, pause_s: float) -> None:
    releases, told = workspace.releases, ToldGenerations(workspace.releases.objects)
    try:
        releases.lineage()
    except NotFound:
        return  # nothing was ever released
    last = told.last()
    if last is None:
        last = told.begin(releases.highest_generation())
    found.generation = last
    with contextlib.ExitStack() as stack:
        sender: Sender | None = None
        for generation, due in _due(workspace, last):
            if due and sender is None:
                open_s = told.open_trial_s() if pause_s else None
                if open_s is not None and open_s < pause_s:
                    return
                told.begin_trial()
                endpoint = Endpoint(workspace.settings.notify_url, deadline)
                sender = stack.enter_context(endpoint.connected())
            if sender is not None:
                _tell_generation(sender, told, generation, due, found)
            step("generation told")
            told.mark(generation)
            found.generation = generation
        if sender is not None:
            told.end_trial()


def _tell_generation(
    sender: Sender, told: ToldGenerations, generation: int, due: list[Notice], found: Notified
) -> None:
    """Sends one generation's events; where that breaks off, a mark says which of its agents were told."""
    begun = len(found.told)
    try:
        for notice in due:
            sender.send(notice.as_document())
            found.told.append(notice)
    except PenstockError:
        if len(found.told) > begun:
            told.mark_part(generation, found.told[-1].agent)
        raise


def _due(workspace: Workspace, last: int) -> Iterator[tuple[int, list[Notice]]]:
    """The whole generations after `last`, oldest first, each with what is still to be told of it."""
    releases = workspace.releases
    told = ToldGenerations(releases.objects)
    before: RoutingTable | None = None
    for generation in (one for one in releases.generations() if one > last):
        table = _whole(releases, generation)
        if table is None:
            continue  # it was never in force
        if before is None or before.generation != table.source.previous_generation:
            before = _before(releases, table)
        found = notices(before, table, workspace.settings.executor_url)
        done = told.part(generation) if found else ""
        yield generation, [notice for notice in found if notice.agent > done]
        before = table


def _before(releases: ReleaseStore, table: RoutingTable) -> RoutingTable | None:
    """The table that `table` came after; None if it is the first. Raises `Unavailable` when it cannot be read."""
    previous = table.source.previous_generation
    if previous is None:
        return None
    found = _whole(releases, previous)
    if found is None:
        raise Unavailable(
            f"table {previous} cannot be read, so what table {table.generation} changed is not known",
            where=releases.url,
            now="restore it from a copy, or `agentctl notify --skip` leaves out what is due",
        )
    return found


def _whole(releases: ReleaseStore, generation: int) -> RoutingTable | None:
    with contextlib.suppress(Invalid):
        return releases.table(generation)
    return None
