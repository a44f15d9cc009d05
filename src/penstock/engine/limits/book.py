"""LevelBook: every level that is in use, and the path of each run under the rules in force."""

from collections.abc import Callable, Iterable
from time import monotonic

from penstock.contracts.agent import Limits
from penstock.contracts.capacity import Capacity, CapacityRules
from penstock.engine.controls import RunClaim
from penstock.engine.limits.level import NO_LIMIT, Bound, Level, LevelKind, LimitKind
from penstock.engine.limits.path import Path
from penstock.registry.layout import OPERATIONS

WINDOW_S = 60.0
_ROOMY = 4_096
_FIGURES: tuple[tuple[LimitKind, str], ...] = (
    ("concurrency", "concurrency"),
    ("ratePerMinute", "rate_per_minute"),
    ("queueDepth", "queue_depth"),
)


class LevelBook:
    """`runs_at_once` says what a runtime bears, None if it is not known. A rate counts over `window_s` seconds.

    `holds_agents` False = what an agent's own version says of limits does not count, as for an evaluation of it.
    Levels that count nothing any more are forgotten: callers who invent tenants do not fill the memory.
    """

    def __init__(
        self, rules: CapacityRules, runs_at_once: Callable[[str], int | None], window_s: float, holds_agents: bool
    ) -> None:
        self.rules = rules
        self.window_s = window_s
        self._holds_agents = holds_agents
        self._runs_at_once = runs_at_once
        self._levels: dict[tuple[LevelKind, str], Level] = {}
        self._paths: dict[tuple[object, ...], tuple[Path, RunClaim]] = {}
        self._bounds: dict[tuple[LevelKind, str, int], Bound] = {}
        self._roomy = _ROOMY

    def path(self, claim: RunClaim) -> Path:
        """The path of a run; the same object for all runs that meet the same limits."""
        key = (claim.agent, claim.tenant, claim.runtime, id(claim.limits), claim.team)
        known = self._paths.get(key)
        if known is None:
            if len(self._paths) >= self._roomy:
                self._forget()
            path = Path(claim.team, claim.agent, self._passed(claim), self.window_s)
            known = self._paths[key] = (path, claim)  # the claim holds its limits, so that their id stays their own
        return known[0]

    def change(self, rules: CapacityRules) -> None:
        """Puts other rules in force for all paths; what is counted stays."""
        self.rules = rules
        self._bounds.clear()
        for path, claim in self._paths.values():
            path.bounds = self._passed(claim)

    def bounds(self) -> Iterable[Bound]:
        """The bounds of all levels in use, one for each set of figures."""
        return sorted(self._bounds.values(), key=lambda bound: (_ORDER[bound.level.kind], bound.level.name))

    def _passed(self, claim: RunClaim) -> tuple[Bound, ...]:
        return (
            self._bound("global", "", claim.limits),
            self._bound("team", claim.team, claim.limits),
            self._bound("agent", claim.agent, claim.limits),
            self._bound("runtime", claim.runtime, claim.limits),
            self._bound("tenant", claim.tenant or "", claim.limits),
        )

    def _bound(self, kind: LevelKind, name: str, limits: Limits) -> Bound:
        key = (kind, name, id(limits) if kind == "agent" else 0)
        known = self._bounds.get(key)
        if known is None:
            level = self._levels.get((kind, name))
            if level is None:
                level = self._levels[kind, name] = Level(kind, name)
            known = self._bounds[key] = self._made(level, limits)
            if known.rate != NO_LIMIT:
                level.remember(known.rate)
        return known

    def _made(self, level: Level, limits: Limits) -> Bound:
        if level.kind == "runtime":
            most = self._runs_at_once(level.name)
            place: dict[LimitKind, str] = {"concurrency": f"runtimes/{level.name}.yaml spec.limits.concurrentRuns"}
            return Bound(level, NO_LIMIT if most is None else most, NO_LIMIT, NO_LIMIT, place)
        capacity, place_of = self._declared(level)
        figures: list[int] = []
        source: dict[LimitKind, str] = {}
        for word, attribute in _FIGURES:
            figure, where = getattr(capacity, attribute), f"{OPERATIONS} spec.limits.{place_of}.{word}"
            own = getattr(limits, attribute) if level.kind == "agent" and self._holds_agents else None
            if own is not None and (figure is None or own < figure):
                figure, where = own, f"agents/{level.name} spec.limits.{word}"
            figures.append(NO_LIMIT if figure is None else figure)
            source[word] = where
        return Bound(level, figures[0], figures[1], figures[2], source)

    def _declared(self, level: Level) -> tuple[Capacity, str]:
        rules = self.rules
        if level.kind == "global":
            return rules.everything, "global"
        named: dict[str, Capacity]
        named, others = {
            "team": (rules.teams, rules.team),
            "agent": (rules.agents, rules.agent),
            "tenant": (rules.tenants, rules.tenant),
        }[level.kind]
        if level.name in named:
            return named[level.name], f"{level.kind}s.{level.name}"
        return others, level.kind

    def _forget(self) -> None:
        horizon = monotonic() - self.window_s
        idle = {key for key, level in self._levels.items() if level.is_idle(horizon)}
        self._levels = {key: level for key, level in self._levels.items() if key not in idle}
        self._paths = {
            key: known
            for key, known in self._paths.items()
            if not any((bound.level.kind, bound.level.name) in idle for bound in known[0].bounds)
        }
        self._bounds.clear()
        for path, claim in self._paths.values():
            path.bounds = self._passed(claim)
        self._roomy = max(_ROOMY, 2 * len(self._paths))


_ORDER: dict[LevelKind, int] = {"global": 0, "team": 1, "agent": 2, "runtime": 3, "tenant": 4}
