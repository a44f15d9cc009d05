"""Scorer `equals`: the output is what is expected."""

from typing import Any

from penstock.contracts.canonical import canonical
from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import ABSENT, JsonPath, expected_of, output_at, short


@scorer("equals", kind="assertion", revision=1, traits=["reads-expected"])
def equals(
    scored: Scored,
    *,
    path: JsonPath = "$",
    expected: Any = None,
    expected_path: JsonPath = "$",
    ignore_case: bool = False,
    ignore_space: bool = False,
) -> Score:
    """Whether the output at `path` equals `expected` (null = the case's own, at `expectedPath`).

    Equal as JSON: the order of keys means nothing, 1 and 1.0 are one number. `ignoreSpace` takes any run of white space
    in a text for one space and none at its ends, `ignoreCase` folds case; both in all texts and never in keys.
    """
    wanted = expected_of(scored, expected, expected_path)
    found = output_at(scored, path)
    if found is ABSENT:
        return Score(False, f"the output has nothing at {path}")
    fold = _Fold(ignore_case, ignore_space)
    if canonical(fold(found)) == canonical(fold(wanted)):
        return Score(True)
    return Score(False, f"is {short(found)}, {short(wanted)} expected")


class _Fold:
    """A value with the differences that do not count taken out of its texts."""

    def __init__(self, ignore_case: bool, ignore_space: bool) -> None:
        self.ignore_case = ignore_case
        self.ignore_space = ignore_space

    def __call__(self, value: Any) -> Any:
        if not (self.ignore_case or self.ignore_space):
            return value
        if isinstance(value, list):
            return [self(one) for one in value]
        if isinstance(value, dict):
            return {key: self(one) for key, one in value.items()}
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        spaced = " ".join(text.split()) if self.ignore_space else text
        return spaced.casefold() if self.ignore_case else spaced
