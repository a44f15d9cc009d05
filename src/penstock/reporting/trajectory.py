"""Two sequences of tool calls side by side: what both did, what only one did, and where their arguments differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Literal

from penstock.reporting.side import Call

MOST_CALLS = 30


@dataclass(frozen=True, slots=True)
class AlignedCall:
    """One row: equal = same name and arguments; changed = same name; missing = production alone; added = new."""

    op: Literal["equal", "changed", "missing", "added"]
    before: Call | None
    after: Call | None


def aligned_calls(before: Sequence[Call], after: Sequence[Call]) -> list[AlignedCall]:
    """Both sequences in their own order, calls of one tool beside each other; the first `MOST_CALLS` of each."""
    return list(_rows(before[:MOST_CALLS], after[:MOST_CALLS]))


def _rows(before: Sequence[Call], after: Sequence[Call]) -> Iterator[AlignedCall]:
    matcher = SequenceMatcher(None, [call.name for call in before], [call.name for call in after], autojunk=False)
    for op, first, last, other, end in matcher.get_opcodes():
        if op != "equal":
            yield from (AlignedCall("missing", call, None) for call in before[first:last])
            yield from (AlignedCall("added", None, call) for call in after[other:end])
            continue
        for old, new in zip_longest(before[first:last], after[other:end]):
            same = old.arguments == new.arguments
            yield AlignedCall("equal" if same else "changed", old, new)
