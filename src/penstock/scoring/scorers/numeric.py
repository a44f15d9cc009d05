"""Scorer `numeric`: the output is a number near the expected one."""

import math
import re
from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import ABSENT, SingularPath, expected_of, lacking, output_at, short

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d{1,300})(?:\.\d{1,300})?(?:[eE][-+]?\d{1,3})?")


@scorer("numeric", kind="assertion", revision=1, traits=["reads-expected"])
def numeric(
    scored: Scored,
    *,
    path: SingularPath = "$",
    expected: float | None = None,
    expected_path: SingularPath = "$",
    absolute: Annotated[float, Field(ge=0)] = 0.0,
    relative: Annotated[float, Field(ge=0)] = 0.0,
    in_text: Literal["refuse", "whole", "last"] = "refuse",
) -> Score:
    """Whether the number at `path` is off the expected one by at most `absolute` or `relative` x |expected|.

    The greater of the two counts; with neither, the numbers are equal. `inText`: a text may be the number (`whole`),
    or its last number is taken (`last`); commas between thousands are read over. `expected` null = the case's own.
    """
    wanted = _number(expected_of(scored, expected, expected_path))
    if wanted is None:
        raise lacking(scored.case, "what is expected is no number")
    value = output_at(scored, path)
    if value is ABSENT:
        return Score(False, f"the output has nothing at {path}")
    found = _number(value) if not isinstance(value, str) else _number_in(value, in_text)
    if found is None:
        return Score(False, f"{short(value)} is no number")
    off, allowed = abs(found - wanted), max(absolute, relative * abs(wanted))
    told = f"{found:g} is off {wanted:g} by {off:g}, more than {allowed:g}"
    return Score(off <= allowed, "" if off <= allowed else told, {"off": off} if math.isfinite(off) else {})


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _number_in(text: str, mode: str) -> float | None:
    if mode == "refuse":
        return None
    words = _NUMBER.findall(text)
    if not words or (mode == "whole" and words != [text.strip()]):
        return None
    return _number(float(words[-1].replace(",", "")))
