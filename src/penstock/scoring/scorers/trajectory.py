"""Scorer `trajectory`: the tools that were called, and with what, are the expected ones."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from penstock.scoring.scorer import Score, Scored, ScorerFailed, scorer
from penstock.scoring.scorers.call_match import ExpectedCall, Fits, Match, fitting, is_met, read_calls
from penstock.scoring.scorers.expectation import JsonPath, expected_of, lacking
from penstock.scoring.scorers.own_file import OWN_PREFIX, OwnReference
from penstock.scoring.trial import ToolCall

MOST_CALLS = 1_000
MOST_COMPARED = 10_000
"""Most pairs of calls that own code compares for one run."""


def _right_calls(calls: list[Any]) -> list[Any]:
    read_calls(calls)
    return calls


@scorer("trajectory", kind="assertion", revision=1, traits=["reads-expected"])
async def trajectory(
    scored: Scored,
    *,
    match: Match = "strict",
    arguments: Literal["exact", "ignore", "subset"] | OwnReference = "exact",
    expected: Annotated[list[Any], AfterValidator(_right_calls)] | None = None,
    expected_path: JsonPath = "$",
    ignore_failed: bool = False,
) -> Score:
    """Whether the tool calls of the run meet the expected ones.

    `match`: `strict` = the same calls in the same order; `unordered` = the same calls; `subset` = no call beyond the
    expected ones; `superset` = every expected call, others may come with them. `arguments`: `exact` = equal as JSON;
    `ignore` = only the tool counts; `subset` = those that are expected are there, others may be; `own/<file>` = what
    `same_arguments(tool, expected, actual)` of evals/scorers/<file>.py says. An expected call is a tool's name or
    `{name, arguments}`; without `arguments` it says nothing of them. With `ignoreFailed`, calls without a result are
    not looked at. Calls are in the order in which they ended: for tools called side by side, use `unordered`.
    """
    try:
        wanted = read_calls(expected_of(scored, expected, expected_path))
    except ValueError as error:
        raise lacking(scored.case, str(error), "a list of {name, arguments}") from None
    made = [call for call in scored.trial.calls if not (ignore_failed and call.error is not None)]
    if match == "superset" and not wanted:
        raise lacking(scored.case, "a superset of no call is expected, which every run is")
    if len(made) > MOST_CALLS or len(wanted) > MOST_CALLS:
        raise lacking(scored.case, f"more than {MOST_CALLS} calls cannot be matched")
    fits = await _fits(scored, wanted, made, arguments)
    if is_met(match, fits, len(made)):
        return Score(True)
    told = f"called {_told(made)}; {match} expected: {_told(wanted)}"
    return Score(False, told[:1_000])


async def _fits(scored: Scored, wanted: Sequence[ExpectedCall], made: Sequence[ToolCall], arguments: str) -> Fits:
    if not arguments.startswith(OWN_PREFIX):
        return fitting(wanted, made, arguments)
    named = fitting(wanted, made, "ignore")
    asked = [(i, j) for i, call in enumerate(wanted) if call.says_arguments for j in named[i]]
    if len(asked) > MOST_COMPARED:
        raise lacking(scored.case, f"{len(asked)} pairs of calls are too many to compare, at most {MOST_COMPARED}")
    answers = await _own_answers(scored, arguments, [(wanted[i], made[j]) for i, j in asked])
    same = {pair for pair, answer in zip(asked, answers, strict=True) if answer}
    return [[j for j in others if not wanted[i].says_arguments or (i, j) in same] for i, others in enumerate(named)]


async def _own_answers(scored: Scored, arguments: str, pairs: Sequence[tuple[ExpectedCall, ToolCall]]) -> list[bool]:
    """What `same_arguments` of the own file says of each pair; raises `ScorerFailed`."""
    if not pairs:
        return []
    if scored.own is None:
        raise ScorerFailed(f"{arguments} cannot be run here", where=f"case {scored.case.id}")
    calls = [[expected.name, expected.arguments, actual.arguments] for expected, actual in pairs]
    answers = await scored.own.call(arguments.removeprefix(OWN_PREFIX), "same_arguments", calls)
    if not all(isinstance(answer, bool) for answer in answers):
        raise ScorerFailed(f"same_arguments of {arguments} answered no bool", where=f"case {scored.case.id}")
    return answers


def _told(calls: Sequence[ExpectedCall] | Sequence[ToolCall]) -> str:
    return ", ".join(call.name for call in calls) or "nothing"
