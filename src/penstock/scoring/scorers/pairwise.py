"""Scorer `pairwise`: a judge agent says which of two outputs is better, the candidate's or production's."""

import asyncio
from typing import Any, Literal

from penstock.contracts.canonical import canonical
from penstock.scoring.scorer import JudgeAnswer, Score, Scored, ScorerFailed, scorer
from penstock.scoring.scorers.question import Rubric, ask, cost_of, details_of, nonsense, reason_of

Winner = Literal["candidate", "baseline", "tie"]
BETTER: dict[Winner, float] = {"candidate": 1.0, "tie": 0.5, "baseline": 0.0}


@scorer("pairwise", kind="score", revision=1, traits=["asks-judge", "pairwise", "reads-failures"])
async def pairwise(scored: Scored, *, rubric: Rubric, allow_same_model: bool = False) -> Score:
    """1 where the candidate's output is better, 0.5 where neither is, 0 where production's is.

    The judge is asked twice, `{task: compare, rubric, input, first, second}`, with the order swapped, and answers
    `{winner: first | second | tie, reason}`. Where the two answers disagree it is a tie, and `positionBias` in the
    details. A run that failed loses against one that finished; equal outputs are a tie, unasked.
    """
    trial, against = scored.trial, scored.against
    if against is None:
        raise ScorerFailed("there is no production to compare with", where=f"case {scored.case.id}")
    if not (trial.finished and against.finished):
        value = 0.5 + (trial.finished - against.finished) / 2
        return Score(value, "at least one of the two runs failed", {"asked": False})
    if canonical(trial.output) == canonical(against.output):
        return Score(0.5, "the outputs are equal", {"asked": False})
    both = (_asked(scored, rubric, swapped=False), _asked(scored, rubric, swapped=True))
    straight, swapped = await asyncio.gather(*both, return_exceptions=True)
    if isinstance(straight, BaseException):
        raise straight
    if isinstance(swapped, BaseException):
        raise swapped
    winner, reason, said = straight
    other, _, said_swapped = swapped
    details: dict[str, Any] = {
        "asked": True,
        "winner": winner,
        "winnerSwapped": other,
        "positionBias": winner != other,
        **details_of(said, said_swapped),
    }
    if winner != other:
        return Score(
            0.5, f"the answer changed with the order: {winner}, then {other}", details, cost_of(said, said_swapped)
        )
    return Score(BETTER[winner], reason, details, cost_of(said, said_swapped))


async def _asked(scored: Scored, rubric: str, *, swapped: bool) -> tuple[Winner, str, JudgeAnswer]:
    assert scored.against is not None
    outputs = [scored.trial.output, scored.against.output]
    names: list[Winner] = ["candidate", "baseline"]
    if swapped:
        outputs.reverse()
        names.reverse()
    question = {
        "task": "compare",
        "rubric": rubric,
        "input": scored.case.input,
        "first": outputs[0],
        "second": outputs[1],
    }
    answer, said = await ask(scored, question)
    word = answer.get("winner")
    if word not in ("first", "second", "tie"):
        raise nonsense(scored, answer, "`winner` is none of first, second, tie")
    named: dict[Any, Winner] = {"first": names[0], "second": names[1], "tie": "tie"}
    return named[word], reason_of(answer), said
