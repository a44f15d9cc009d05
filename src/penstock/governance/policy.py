"""Decides by the policies' rules: deny wins, no rule means deny.

All rules are laid out in tables at construction, so that a decision costs a few look-ups however many rules there are.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

from penstock.contracts.policy import Action, PolicySpec, Rule, Stage

ACTIONS: tuple[str, ...] = get_args(Action)
STAGES: tuple[str, ...] = get_args(Stage)
ANY = "*"
_NONE = -1
_USER = "user:"
_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and by which rule of which policy; `rule` None = no rule matched, which means deny."""

    allowed: bool
    rule: str | None
    policy: str | None
    reason: str


@dataclass(slots=True)
class _Cell:
    """The first deny and the first allow (positions among all rules) for one resource and subject pattern."""

    deny: int = _NONE
    allow: int = _NONE


_Grid = dict[tuple[str, str], _Cell]


class Decider:
    """The rules of an agent's policies, in the order of its references.

    A pattern is an exact name or ends in `*`; an absent list matches anything, an empty one nothing. Of several rules
    with the same effect the first is named.
    """

    def __init__(self, policies: Sequence[tuple[str, PolicySpec]]) -> None:
        self._rules: list[tuple[str, Rule]] = [(ref, rule) for ref, policy in policies for rule in policy.rules]
        self._grids: dict[tuple[str, str], _Grid] = {(action, stage): {} for action in ACTIONS for stage in STAGES}
        for position, (_, rule) in enumerate(self._rules):
            self._lay_out(position, rule)
        resources = (pattern for _, rule in self._rules for pattern in _patterns(rule.resources))
        self._resource_cuts = _cuts(resources)
        self._subject_cuts = _cuts(self._subject_patterns())
        self.asks_for_users = any(_names_users(pattern) for pattern in self._subject_patterns())
        """Whether two users of one tenant may be decided on differently."""
        self._decided = lru_cache(_KEPT)(self._look_up)  # the rules never change

    def decide(self, subjects: Collection[str], action: str, resource: str, stage: str) -> Decision:
        """Whether one of `subjects` (`agent:a`, `user:u`) may do `action` to `resource` (`tools/t`) at `stage`."""
        return self._decided(tuple(subjects), action, resource, stage)

    def _look_up(self, subjects: tuple[str, ...], action: str, resource: str, stage: str) -> Decision:
        grid = self._grids.get((action, stage), {})
        deny = allow = len(self._rules)
        subject_keys = {key for subject in subjects for key in _keys(subject, self._subject_cuts)} | {ANY}
        for resource_key in _keys(resource, self._resource_cuts):
            for subject_key in subject_keys:
                cell = grid.get((resource_key, subject_key))
                if cell is None:
                    continue
                if _NONE < cell.deny < deny:
                    deny = cell.deny
                if _NONE < cell.allow < allow:
                    allow = cell.allow
        if deny < len(self._rules):
            return self._decision(deny, allowed=False)
        if allow < len(self._rules):
            return self._decision(allow, allowed=True)
        return Decision(False, None, None, "no rule allows it")

    def _subject_patterns(self) -> Iterable[str]:
        return (pattern for _, rule in self._rules for pattern in _patterns(rule.subjects))

    def _decision(self, position: int, *, allowed: bool) -> Decision:
        policy, rule = self._rules[position]
        return Decision(allowed, rule.name, policy, rule.reason)

    def _lay_out(self, position: int, rule: Rule) -> None:
        actions = [action for action in ACTIONS if any(_matches(p, action) for p in _patterns(rule.actions))]
        stages = STAGES if rule.stages is None else rule.stages
        for grid in (self._grids[action, stage] for action in actions for stage in stages):
            for resource in _patterns(rule.resources):
                for subject in _patterns(rule.subjects):
                    cell = grid.setdefault((resource, subject), _Cell())
                    if rule.effect == "deny" and cell.deny == _NONE:
                        cell.deny = position
                    if rule.effect == "allow" and cell.allow == _NONE:
                        cell.allow = position


def _patterns(written: list[str] | None) -> list[str]:
    return [ANY] if written is None else written


def _matches(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith(ANY) else text == pattern


def _names_users(pattern: str) -> bool:
    return pattern.startswith(_USER) or (pattern.endswith(ANY) and pattern != ANY and _USER.startswith(pattern[:-1]))


def _cuts(patterns: Iterable[str]) -> tuple[int, ...]:
    """The lengths of all prefixes in use."""
    return tuple(sorted({len(pattern) - 1 for pattern in patterns if pattern.endswith(ANY)} | {0}))


def _keys(text: str, cuts: tuple[int, ...]) -> list[str]:
    """Every pattern in use that could match `text`: itself, and its beginnings followed by `*`."""
    return [text, *(text[:cut] + ANY for cut in cuts if cut <= len(text))]
