"""Matching of tool calls: which expected call a call that was made would do for, and whether that is enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contracts.canonical import canonical
from penstock.scoring.trial import ToolCall

Match = Literal["strict", "unordered", "subset", "superset"]
Fits = list[list[int]]
"""For each expected call, the positions of the calls made that would do for it, ascending."""


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """One call that is expected; without `says_arguments` any arguments will do."""

    name: str
    arguments: Any = None
    says_arguments: bool = False


def read_calls(value: Any) -> list[ExpectedCall]:
    """The expected calls as they were written; raises `ValueError` for what is none."""
    if not isinstance(value, list):
        raise ValueError("what is expected is no list of tool calls")
    return [_read_call(one, position) for position, one in enumerate(value)]


def _read_call(one: Any, position: int) -> ExpectedCall:
    if isinstance(one, str) and one:
        return ExpectedCall(one)
    if not isinstance(one, dict) or not isinstance(one.get("name"), str) or not one["name"]:
        raise ValueError(f"call {position} is neither a tool's name nor an object with a `name`")
    unknown = one.keys() - {"name", "arguments"}
    if unknown:
        raise ValueError(f"call {position} has {sorted(unknown)[0]!r}; it takes name and arguments")
    return ExpectedCall(one["name"], one.get("arguments"), "arguments" in one)


def fitting(wanted: Sequence[ExpectedCall], made: Sequence[ToolCall], arguments: str) -> Fits:
    """The calls of the same tool whose arguments agree: `exact`, `ignore` or `subset`."""
    by_name: dict[str, list[int]] = {}
    for position, one in enumerate(made):
        by_name.setdefault(one.name, []).append(position)
    exact = [canonical(one.arguments) for one in made] if arguments == "exact" else []
    fits: Fits = []
    for call in wanted:
        candidates = by_name.get(call.name, [])
        if arguments == "ignore" or not call.says_arguments:
            agreeing = candidates
        elif arguments == "exact":
            text = canonical(call.arguments)
            agreeing = [other for other in candidates if exact[other] == text]
        else:
            agreeing = [other for other in candidates if is_within(call.arguments, made[other].arguments)]
        fits.append(agreeing)
    return fits


def is_within(wanted: Any, found: Any) -> bool:
    """Whether `found` holds all of `wanted`: objects may have more keys, at every depth; all else is equal as JSON."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(key in found and is_within(value, found[key]) for key, value in wanted.items())
    return canonical(wanted) == canonical(found)


def is_met(match: Match, fits: Fits, made: int) -> bool:
    """Whether so many calls made meet the expected ones, given which would do for which.

    `subset` and `superset` are each other's mirror; each call is used once, in whatever pairing serves best.
    """
    wanted = len(fits)
    if match == "strict":
        return wanted == made and all(position in fits[position] for position in range(wanted))
    if match == "unordered" and wanted != made:
        return False
    if match == "subset":  # each call made needs an expected one, and not the other way round
        return made <= wanted and _is_all_paired(_turned(fits, made))
    return wanted <= made and _is_all_paired(fits)


def _turned(fits: Fits, made: int) -> Fits:
    """For each call made, the expected calls that it would do for."""
    turned: Fits = [[] for _ in range(made)]
    for position, others in enumerate(fits):
        for other in others:
            turned[other].append(position)
    return turned


def _is_all_paired(fits: Fits) -> bool:
    """Whether each has a partner of its own: augmenting paths, breadth first (Kuhn's algorithm, without recursion)."""
    taken: dict[int, int] = {}
    return all(_is_augmented(start, fits, taken) for start in range(len(fits)))


def _is_augmented(start: int, fits: Fits, taken: dict[int, int]) -> bool:
    came_from: dict[int, int] = {}
    queue = [start]
    for position in queue:
        for other in fits[position]:
            if other in came_from:
                continue
            came_from[other] = position
            if other not in taken:
                _flip(other, start, came_from, taken)
                return True
            queue.append(taken[other])
    return False


def _flip(end: int, start: int, came_from: dict[int, int], taken: dict[int, int]) -> None:
    """Gives each call on the path its new partner, from the free one back to where the path began."""
    partners = {holder: other for other, holder in taken.items()}
    while (position := came_from[end]) != start:
        taken[end] = position
        end = partners[position]
    taken[end] = start
