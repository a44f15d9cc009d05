"""Scorer `regex`: the output matches a pattern, in linear time."""

from typing import Any, Literal

from penstock.contracts.pattern import is_found, pattern_fault
from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import ABSENT, JsonPath, Pattern, expected_of, lacking, output_at, short


@scorer("regex", kind="assertion", revision=1, traits=["reads-expected"])
def regex(
    scored: Scored,
    *,
    path: JsonPath = "$",
    pattern: Pattern | None = None,
    expected_path: JsonPath = "$",
    match: Literal["search", "full", "absent"] = "search",
) -> Score:
    """Whether every text at `path` has the pattern in it (`search`), is it from end to end (`full`), or lacks it.

    `pattern` is of ECMA 262 without look-around and back-references, `(?i)` in front folds case; null = the case's
    `expected` at `expectedPath`. A path that selects nothing, or anything but texts, does not match.
    """
    wanted = expected_of(scored, pattern, expected_path)
    if not isinstance(wanted, str):
        raise lacking(scored.case, f"{short(wanted)} is expected, which is no pattern")
    fault = pattern_fault(wanted)
    if fault is not None:
        raise lacking(scored.case, fault, "mend the case's pattern")
    whole = f"^(?:{wanted})$" if match == "full" else wanted
    found = output_at(scored, path)
    texts = found if isinstance(found, list) else [] if found is ABSENT else [found]
    if not texts:
        return Score(False, f"the output has nothing at {path}")
    wrong = [text for text in texts if not _meets(text, whole, match)]
    told = "contains" if match == "absent" else "does not match"
    return Score(not wrong, f"{short(wrong[0])} {told} {wanted!r}" if wrong else "")


def _meets(text: Any, pattern: str, match: str) -> bool:
    return isinstance(text, str) and is_found(pattern, text) is not (match == "absent")
