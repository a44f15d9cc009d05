"""FairQueue: who waits for a place, served in turn: teams, in a team its agents, in an agent its paths (tenants)."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator

from penstock.engine.controls import Place
from penstock.engine.limits.level import NEVER
from penstock.engine.limits.path import Block, Path

Queued = Callable[[str, int], None]


class Waiter:
    """One run that has no place yet.

    `is_queued` = it stands in a queue; `is_shared` = the other executors count it; `is_asking` = an answer about it is
    under way; `is_told` = its run knows that it waits; `block` is what last kept it from a place.
    """

    __slots__ = ("block", "future", "is_asking", "is_queued", "is_shared", "is_told", "lane", "path", "queued", "timer")

    def __init__(self, path: Path, is_batch: bool, queued: Queued) -> None:
        self.path = path
        self.lane = int(is_batch)
        self.queued = queued
        self.future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None
        self.block: Block | None = None
        self.is_asking = False
        self.is_queued = False
        self.is_shared = False
        self.is_told = False


_Line = OrderedDict[Waiter, None]
_Paths = OrderedDict[Path, _Line]
_Agents = OrderedDict[str, _Paths]


class FairQueue:
    """A ring of teams, each a ring of agents, each a ring of paths with those who wait there in their order.

    Who is served goes to the end of each ring, so a flood of one team, agent or tenant delays another by one turn.
    """

    def __init__(self) -> None:
        self._teams: OrderedDict[str, _Agents] = OrderedDict()
        self._length = 0
        self.soonest = NEVER

    def __len__(self) -> int:
        return self._length

    def paths(self) -> Iterator[Path]:
        """Every path at which somebody waits."""
        for agents in self._teams.values():
            for paths in agents.values():
                yield from paths

    def add(self, waiter: Waiter, *, in_front: bool = False) -> None:
        """Lets it wait; `in_front` gives back the turn of one that was taken out for nothing."""
        path = waiter.path
        agents = self._teams.setdefault(path.team, OrderedDict())
        paths = agents.setdefault(path.agent, OrderedDict())
        line = paths.setdefault(path, OrderedDict())
        line[waiter] = None
        if in_front:
            line.move_to_end(waiter, last=False)
            paths.move_to_end(path, last=False)
            agents.move_to_end(path.agent, last=False)
            self._teams.move_to_end(path.team, last=False)
        waiter.is_queued = True
        self._length += 1
        path.wait(waiter.lane, 1)

    def remove(self, waiter: Waiter) -> None:
        """Takes it out; nobody else's turn changes."""
        path = waiter.path
        agents = self._teams[path.team]
        paths = agents[path.agent]
        del paths[path][waiter]
        if not paths[path]:
            del paths[path]
        if not paths:
            del agents[path.agent]
        if not agents:
            del self._teams[path.team]
        waiter.is_queued = False
        self._length -= 1
        path.wait(waiter.lane, -1)

    def next(self, now: float) -> Waiter | None:
        """Takes out whose turn it is among those that have a place; None = nobody has, before `soonest` by time."""
        self.soonest = NEVER
        for agents in self._teams.values():
            found, block = self._in_team(agents, now)
            if found is not None:
                self._rotate(found)
                self.remove(found)
                return found
            if block is not None and block.index == 0:
                break  # all runs together are at their limit
        return None

    def _in_team(self, agents: _Agents, now: float) -> tuple[Waiter | None, Block | None]:
        block: Block | None = None
        for paths in agents.values():
            for path, line in paths.items():
                if block is not None and path.bounds[block.index] is block.bound:
                    continue  # the same limit holds it
                block = path.blocked(now)
                if block is None:
                    return next(iter(line)), None
                self.soonest = min(self.soonest, block.due)
                if block.index <= 1:
                    return None, block  # the whole team waits
        return None, block

    def _rotate(self, waiter: Waiter) -> None:
        path = waiter.path
        agents = self._teams[path.team]
        agents[path.agent].move_to_end(path)
        agents.move_to_end(path.agent)
        self._teams.move_to_end(path.team)
