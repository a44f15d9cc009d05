"""What a scorer is told: types of its parameters, what the case expects, and what stands at a path of the output."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field

from penstock.contracts.canonical import canonical
from penstock.contracts.dataset import Case
from penstock.contracts.json_path import TooManySelected, is_singular, path_fault, selected_values
from penstock.contracts.pattern import pattern_fault
from penstock.scoring.scorer import Scored, Scorer, ScorerFailed

SHOWN = 200
TEXT_LENGTH = 100_000
STAND_IN: Final = frozenset({"expected", "pattern", "schema_"})
"""Parameters that say for all cases what otherwise each case's `expected` says."""


def _right_path(path: str) -> str:
    fault = path_fault(path)
    if fault is not None:
        raise ValueError(fault)
    return path


def _one_value(path: str) -> str:
    if not is_singular(path):
        raise ValueError(f"path {path!r} may select several values; name one, such as $.total or $.items[0]")
    return path


def _right_pattern(pattern: str) -> str:
    fault = pattern_fault(pattern)
    if fault is not None:
        raise ValueError(fault)
    return pattern


JsonPath = Annotated[str, AfterValidator(_right_path)]
SingularPath = Annotated[str, AfterValidator(_right_path), AfterValidator(_one_value)]
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_right_pattern)]


class _Absent:
    """Nothing stands there; null would be a value."""


ABSENT: Final = _Absent()


def output_at(scored: Scored, path: str) -> Any:
    """What the output has at the path; a path that may select several values gives a list, `ABSENT` = nothing."""
    return _at(path, scored.trial.output, scored.case, "the output")


def output_text(scored: Scored, path: str) -> str | None:
    """The text at the path; None where there is no text. Raises `ScorerFailed` for one that is too long to judge."""
    value = output_at(scored, path)
    if not isinstance(value, str):
        return None
    if len(value) > TEXT_LENGTH:
        raise lacking(scored.case, f"the output has a text of {len(value)} characters, more than {TEXT_LENGTH}")
    return value


def expected_of(scored: Scored, given: Any, path: str) -> Any:
    """What is expected: the parameter if there is one, else what the case's `expected` has at the path.

    Raises `ScorerFailed` naming the case and the key that it lacks.
    """
    if given is not None:
        return given
    case = scored.case
    if not case.has_expected:
        raise lacking(case, "has no `expected`", "add it to the case, or set the scorer's parameter")
    value = _at(path, case.expected, case, "`expected`")
    if value is ABSENT or (value == [] and not is_singular(path)):
        raise lacking(case, f"`expected` has nothing at {path}", "add it to the case, or mend `expectedPath`")
    return value


def needs_expectation(scorer: Scorer, parameters: BaseModel) -> bool:
    """Whether the scorer, with these parameters, reads the case's `expected`, which live runs do not have."""
    if scorer.reads_expected:
        return all(getattr(parameters, name, None) is None for name in STAND_IN)
    rules = getattr(parameters, "expect", None)
    return isinstance(rules, list) and any(getattr(rule, "expected_path", None) for rule in rules)


def lacking(case: Case, what: str, now: str = "") -> ScorerFailed:
    """The error of a case that cannot be judged."""
    return ScorerFailed(what, where=f"case {case.id}", now=now)


def texts_of(case: Case, value: Any) -> list[str]:
    """The expected text or texts; raises `ScorerFailed` for anything else."""
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(one, str) for one in found):
        raise lacking(case, f"{short(value)} is expected, which is no text and no list of texts")
    if any(len(one) > TEXT_LENGTH for one in found):
        raise lacking(case, f"an expected text has more than {TEXT_LENGTH} characters")
    return found


def short(value: Any) -> str:
    """A value as a sentence shows it, also one that is no JSON."""
    try:
        text = canonical(value).decode()
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _at(path: str, value: Any, case: Case, of: str) -> Any:
    if path == "$":
        return value
    try:
        found = selected_values(path, value)
    except TooManySelected as error:
        raise lacking(case, f"{of}: {error}") from None
    if is_singular(path):
        return found[0] if found else ABSENT
    return found
