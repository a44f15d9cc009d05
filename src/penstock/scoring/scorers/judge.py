"""Scorer `judge`: a judge agent grades the output by a rubric."""

import math

from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.question import Rubric, ask, background, cost_of, details_of, nonsense, reason_of


@scorer("judge", kind="score", revision=1, traits=["asks-judge"])
async def judge(scored: Scored, *, rubric: Rubric, allow_same_model: bool = False) -> Score:
    """The judge's grade, 0 to 1, with its reason.

    It is asked `{task: grade, rubric, input, output, expected?, context?}` and answers `{score, reason}`; anything else
    is no score. `allowSameModel` lets a judge grade answers of its own model.
    """
    question = {"task": "grade", "rubric": rubric, **background(scored), "output": scored.trial.output}
    answer, said = await ask(scored, question)
    grade = answer.get("score")
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not math.isfinite(grade):
        raise nonsense(scored, answer, "`score` is no number")
    if not 0 <= grade <= 1:
        raise nonsense(scored, answer, "`score` is not from 0 to 1")
    return Score(float(grade), reason_of(answer), details_of(said), cost_of(said))
