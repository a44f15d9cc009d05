"""Scorer `contains`: what is expected is in the output."""

from typing import Any, Literal

from penstock.contracts.canonical import canonical
from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import (
    ABSENT,
    JsonPath,
    expected_of,
    lacking,
    output_at,
    output_text,
    short,
    texts_of,
)


@scorer("contains", kind="assertion", revision=1, traits=["reads-expected"])
def contains(
    scored: Scored,
    *,
    path: JsonPath = "$",
    expected: Any = None,
    expected_path: JsonPath = "$",
    match: Literal["all", "any", "none"] = "all",
    ignore_case: bool = False,
) -> Score:
    """Whether all, any or none of the expected values are in the output at `path`.

    In a text: expected texts as parts of it. In a list: expected values as its items, equal as JSON. Anything else
    contains nothing. `expected` is one value or a list of them; null = the case's own, at `expectedPath`.
    """
    wanted = expected_of(scored, expected, expected_path)
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if not wanted:
        raise lacking(scored.case, "an empty list is expected, which says nothing")
    found = output_at(scored, path)
    if found is ABSENT:
        return Score(False, f"the output has nothing at {path}")
    if isinstance(found, list):
        items = {canonical(_folded(item, ignore_case)) for item in found}
        present = [canonical(_folded(one, ignore_case)) in items for one in wanted]
    elif isinstance(found, str):
        text = _folded(output_text(scored, path), ignore_case)
        present = [_folded(one, ignore_case) in text for one in texts_of(scored.case, wanted)]
    else:
        return Score(False, f"is {short(found)}, which is neither a text nor a list")
    return _judged(match, wanted, present)


def _judged(match: Literal["all", "any", "none"], wanted: list[Any], present: list[bool]) -> Score:
    there = [one for one, is_there in zip(wanted, present, strict=True) if is_there]
    missing = [one for one, is_there in zip(wanted, present, strict=True) if not is_there]
    if match == "all":
        return Score(not missing, f"does not contain {short(missing)}" if missing else "")
    if match == "any":
        return Score(bool(there), "" if there else f"contains none of {short(wanted)}")
    return Score(not there, f"contains {short(there)}" if there else "")


def _folded(value: Any, ignore_case: bool) -> Any:
    return value.casefold() if ignore_case and isinstance(value, str) else value
