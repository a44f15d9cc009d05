"""How two event sequences differ: aligned step by step, with what moved, what is missing, and what was added."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from penstock.scoring.trial import Trial

Op = Literal["equal", "moved", "missing", "added"]
_TOOL = "tool."
_TOOL_DENIAL = "policy.decided:"


@dataclass(frozen=True, slots=True)
class StepChange:
    """One step of the alignment: in both, in both at another place, or in one alone."""

    op: Op
    step: str


def aligned_steps(baseline: Sequence[str], candidate: Sequence[str]) -> list[StepChange]:
    """Both sequences as one, in the candidate's order, what it lacks at the place where production has it.

    Tool calls between two other steps were in flight together: they are compared as a set. A step that is missing here
    and added there has moved, and stands where the candidate has it.
    """
    old, new = _settled(baseline), _settled(candidate)
    changes: list[StepChange] = []
    for op, before, before_end, after, after_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if op == "equal":
            changes += [StepChange("equal", step) for step in old[before:before_end]]
            continue
        changes += [StepChange("missing", step) for step in old[before:before_end]]
        changes += [StepChange("added", step) for step in new[after:after_end]]
    return _with_moves(changes)


def sequences_differ(one: Trial, other: Trial) -> bool:
    """Whether two trials took other steps; tool calls in flight together in another order are no difference."""
    return _settled(one.steps) != _settled(other.steps)


def count_ops(changes: Iterable[StepChange]) -> dict[str, int]:
    """How many steps were moved, missing, added."""
    counted = Counter(change.op for change in changes)
    return {"moved": counted["moved"], "missing": counted["missing"], "added": counted["added"]}


def _settled(steps: Sequence[str]) -> list[str]:
    """The steps with those of one turn's tool calls in one order."""
    settled: list[str] = []
    turn: list[str] = []
    for step in steps:
        if step.startswith((_TOOL, _TOOL_DENIAL)):
            turn.append(step)
            continue
        settled += [*sorted(turn), step]
        turn = []
    return settled + sorted(turn)


def _with_moves(changes: list[StepChange]) -> list[StepChange]:
    missing = Counter(change.step for change in changes if change.op == "missing")
    added = Counter(change.step for change in changes if change.op == "added")
    moved = missing & added
    gone, come = moved.copy(), moved.copy()
    told: list[StepChange] = []
    for change in changes:
        if change.op == "missing" and gone[change.step]:
            gone[change.step] -= 1
        elif change.op == "added" and come[change.step]:
            come[change.step] -= 1
            told.append(StepChange("moved", change.step))
        else:
            told.append(change)
    return told
