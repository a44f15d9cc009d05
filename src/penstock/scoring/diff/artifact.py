"""How two artifacts differ: place by place, by the rules that the suite declares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import orjson

from penstock.contracts.eval_suite import DiffRules
from penstock.scoring.diff.json_place import Place, pattern_of, places_at, written
from penstock.scoring.side_document import LONGEST, clipped

ChangeKind = Literal["changed", "added", "removed"]

LARGEST = 20_000
"""Artifacts of more values than this are compared as a whole: a comparison must end."""
PAIRED = 250
ALIKE = 1_500
"""Elements of an unordered list are paired with the nearest one below `PAIRED` values, with a like one below `ALIKE`,
and above that they are equal or not: pairing takes quadratic time (measured: 10 s for 3,000 values)."""
_TAG = "\x00"
_WHOLE = 2.0**53
_IGNORED = f"{_TAG}ignored"
_KINDS: Mapping[str, ChangeKind] = {
    "values_changed": "changed",
    "type_changes": "changed",
    "dictionary_item_added": "added",
    "iterable_item_added": "added",
    "dictionary_item_removed": "removed",
    "iterable_item_removed": "removed",
    "repetition_change": "changed",
}


@dataclass(frozen=True, slots=True)
class ArtifactChange:
    """One place that differs. `before` and `after` are what stood and stands there; None where nothing does.

    The place of what was added counts in the candidate's artifact, every other one in the baseline's.
    """

    place: Place
    kind: ChangeKind
    before: Any
    after: Any

    @property
    def path(self) -> str:
        """The place as a JSON path."""
        return written(self.place)

    @property
    def pattern(self) -> str:
        """The place with every position as `*`."""
        return pattern_of(self.place)

    def as_document(self) -> dict[str, Any]:
        """The change as a JSON object; long texts are cut, and the cut is said. A long value is its text, cut."""
        return {
            "path": clipped(self.path),
            "kind": self.kind,
            "before": _brief(self.before),
            "after": _brief(self.after),
        }


def artifact_changes(before: Any, after: Any, rules: DiffRules) -> list[ArtifactChange]:
    """Every place where two JSON values differ, in the order of the places.

    Numbers are equal as JSON numbers are (1 and 1.0), and by the tolerances of their path; true is not 1. Paths are
    looked up in both artifacts, each in its own. Raises `Invalid` for a rule that is no JSON path.
    """
    old, new = _Side(before, rules), _Side(after, rules)
    if old.prepared == new.prepared:
        return []
    if max(_size(old.prepared), _size(new.prepared)) > LARGEST:
        return [ArtifactChange((), "changed", before, after)]
    try:
        found = [change for change in _differences(old, new) if not _is_allowed(change, old, new, rules)]
    except RecursionError:
        return [ArtifactChange((), "changed", before, after)]
    return sorted((_shown(change) for change in found), key=lambda change: (_order(change.place), change.kind))


@dataclass(frozen=True)
class _Side:
    """One artifact with the places that the rules select in it."""

    value: Any
    rules: DiffRules

    @cached_property
    def ignored(self) -> frozenset[Place]:
        return places_at(self.rules.ignore, self.value)

    @cached_property
    def unordered(self) -> frozenset[Place]:
        return places_at(self.rules.unordered, self.value)

    @cached_property
    def tolerances(self) -> list[frozenset[Place]]:
        return [places_at([one.path], self.value) for one in self.rules.tolerances]

    @cached_property
    def prepared(self) -> Any:
        """The value as it is compared: ignored places are the same everywhere, true and 1 are two things."""
        return _prepared(self.value, (), self.ignored)


@dataclass(frozen=True, slots=True)
class _Found:
    """A difference with its place on each side."""

    kind: ChangeKind
    old_place: Place
    new_place: Place
    before: Any
    after: Any


def _prepared(value: Any, place: Place, ignored: frozenset[Place]) -> Any:
    if place in ignored:
        return _IGNORED
    if isinstance(value, dict):
        members = ((key, (*place, key), one) for key, one in value.items())
        return {key: _prepared(one, at, ignored) for key, at, one in members if at not in ignored}
    if isinstance(value, list):
        return [_prepared(one, (*place, position), ignored) for position, one in enumerate(value)]
    if isinstance(value, bool):
        return f"{_TAG}{str(value).lower()}"
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    return _TAG + value if isinstance(value, str) and value.startswith(_TAG) else value


def _restored(value: Any) -> Any:
    """What `_prepared` was made of; an ignored place is null."""
    if isinstance(value, dict):
        return {key: _restored(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_restored(one) for one in value]
    if not isinstance(value, str) or not value.startswith(_TAG):
        return value
    marks: dict[str, Any] = {_IGNORED: None, f"{_TAG}true": True, f"{_TAG}false": False}
    return marks[value] if value in marks else value.removeprefix(_TAG)


def _brief(value: Any) -> Any:
    text = orjson.dumps(value).decode()
    return clipped(value) if isinstance(value, str) or len(text) <= LONGEST else clipped(text)


def _size(value: Any) -> int:
    """How many values there are, keys apart."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        count += 1
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return count


def _differences(old: _Side, new: _Side) -> Iterator[_Found]:
    from deepdiff import DeepDiff  # takes 0.1 s to import

    def is_unordered(level: Any) -> bool:
        return _place(level) in old.unordered or _place(level, in_new=True) in new.unordered

    unordered = bool(old.unordered or new.unordered)
    found = DeepDiff(
        old.prepared,
        new.prepared,
        view="tree",
        ignore_order_func=is_unordered if unordered else None,
        report_repetition=True,
        ignore_private_variables=False,
        threshold_to_diff_deeper=0,
        **(_pairing(max(_size(old.prepared), _size(new.prepared))) if unordered else {}),
    )
    for category, levels in found.items():
        for level in levels:
            yield _found(category, level)


def _pairing(size: int) -> dict[str, Any]:
    """How far elements of unordered lists are taken as one that changed, by DeepDiff's own measure."""
    if size >= ALIKE:
        return {"cutoff_intersection_for_pairs": 0.0}
    return {"cutoff_distance_for_pairs": 1.0, "cutoff_intersection_for_pairs": 1.0} if size < PAIRED else {}


def _found(category: str, level: Any) -> _Found:
    kind = _KINDS[category]
    if category == "repetition_change":
        counts = level.additional["repetition"]
        kind = "added" if counts["new_repeat"] > counts["old_repeat"] else "removed"
    before = None if kind == "added" else level.t1
    after = None if kind == "removed" else level.t2
    return _Found(kind, _place(level), _place(level, in_new=True), before, after)


def _place(level: Any, *, in_new: bool = False) -> Place:
    return tuple(level.path(output_format="list", use_t2=in_new))


def _is_allowed(found: _Found, old: _Side, new: _Side, rules: DiffRules) -> bool:
    """Whether the rules say that it does not count."""
    if found.kind != "changed" or not (_is_number(found.before) and _is_number(found.after)):
        return False
    return any(
        abs(found.after - found.before) <= max(rule.absolute, rule.relative * abs(found.before))
        for rule, before, after in zip(rules.tolerances, old.tolerances, new.tolerances, strict=True)
        if found.old_place in before or found.new_place in after
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _shown(found: _Found) -> ArtifactChange:
    place = found.new_place if found.kind == "added" else found.old_place
    return ArtifactChange(place, found.kind, _restored(found.before), _restored(found.after))


def _order(place: Place) -> list[tuple[int, str, int]]:
    return [(1, "", part) if isinstance(part, int) else (0, part, 0) for part in place]
