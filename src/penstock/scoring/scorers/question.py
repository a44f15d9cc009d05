"""What judges are asked and what they must answer: one JSON object each way, told apart by `task`."""

from typing import Annotated, Any

from pydantic import Field

from penstock.scoring.scorer import JudgeAnswer, Scored, ScorerFailed
from penstock.scoring.scorers.expectation import short

Rubric = Annotated[str, Field(min_length=1, max_length=20_000, description="What a good answer is, for the judge.")]


def background(scored: Scored) -> dict[str, Any]:
    """What a judge is told of the case: its input, and what is expected and given, as far as the case says so."""
    case = scored.case
    told = {"input": case.input}
    if case.has_expected:
        told["expected"] = case.expected
    if case.context is not None:
        told["context"] = case.context
    return told


async def ask(scored: Scored, question: dict[str, Any]) -> tuple[dict[str, Any], JudgeAnswer]:
    """The judge's answer as an object, and what came with it; raises `ScorerFailed`."""
    if scored.judge is None:
        raise ScorerFailed("there is no judge to ask", where=f"case {scored.case.id}", now="name it by `agent`")
    answer = await scored.judge.ask(question)
    if not isinstance(answer.output, dict):
        raise nonsense(scored, answer.output, "no JSON object")
    return answer.output, answer


def nonsense(scored: Scored, output: Any, why: str) -> ScorerFailed:
    """The error of an answer that is not what was asked for."""
    name = scored.judge.release.agent.ref if scored.judge is not None else "the judge"
    what = f"{name} answered {short(output)}: {why}"
    return ScorerFailed(what, where=f"case {scored.case.id}", now="see the judge's output schema and its run")


def reason_of(answer: dict[str, Any]) -> str:
    """The judge's reason, empty where it gave none."""
    reason = answer.get("reason")
    return reason if isinstance(reason, str) else ""


def details_of(*answers: JudgeAnswer) -> dict[str, Any]:
    """Which runs the judge's answers are, and whether what they cost is known."""
    unpriced = any(answer.cost_usd is None for answer in answers)
    return {"judgeRuns": [answer.run_id for answer in answers], **({"costUnknown": True} if unpriced else {})}


def cost_of(*answers: JudgeAnswer) -> float:
    """What the answers cost, USD; an unknown cost counts as none and is said in the details."""
    return sum(answer.cost_usd or 0.0 for answer in answers)
