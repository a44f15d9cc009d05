"""judge, pairwise, hallucination: what is asked, and what counts as an answer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from penstock.scoring.scorer import Score, ScorerFailed, find_scorer
from penstock.testing.example_trial import FakeJudge, example_failure, example_scored, example_trial

Judge = Callable[..., Awaitable[Score]]
RUBRIC = {"rubric": "Is it polite?"}
NUMBERS = ["high", None, True, float("nan"), float("inf"), -0.1, 1.1, "0.5"]


async def test_a_judge_is_told_the_case_and_answers_a_grade(judge: Judge) -> None:
    critic = FakeJudge({"score": 0.75, "reason": "polite enough"})
    score = await judge("judge", example_scored("Hello", judge=critic, expected=None, context=["doc"]), RUBRIC)
    assert (score.value, score.reason, score.cost_usd) == (0.75, "polite enough", 0.001)
    assert score.details == {"judgeRuns": ["run-1"]}
    assert critic.questions == [
        {
            "task": "grade",
            "rubric": "Is it polite?",
            "input": "a question",
            "output": "Hello",
            "expected": None,
            "context": ["doc"],
        }
    ]


async def test_what_the_case_does_not_say_is_not_asked(judge: Judge) -> None:
    critic = FakeJudge({"score": 1})
    score = await judge("judge", example_scored("Hello", judge=critic), RUBRIC)
    assert (score.value, score.reason) == (1.0, "")
    assert critic.questions[0].keys() == {"task", "rubric", "input", "output"}


async def test_an_unknown_price_is_said(judge: Judge) -> None:
    score = await judge("judge", example_scored("Hello", judge=FakeJudge({"score": 1}, cost_usd=None)), RUBRIC)
    assert (score.cost_usd, score.details["costUnknown"]) == (0.0, True)


@pytest.mark.parametrize("answer", [*({"score": value} for value in NUMBERS), {}, "0.5", None, [0.5]])
async def test_a_grade_that_is_none_is_no_score(judge: Judge, answer: Any) -> None:
    with pytest.raises(ScorerFailed, match="critic"):
        await judge("judge", example_scored("Hello", judge=FakeJudge(answer)), RUBRIC)


@pytest.mark.parametrize("name", ["judge", "hallucination"])
async def test_without_a_judge_or_its_answer_there_is_no_score(judge: Judge, name: str) -> None:
    params = RUBRIC if name == "judge" else {}
    with pytest.raises(ScorerFailed, match="no judge"):
        await judge(name, example_scored("Hello", context="x"), params)
    broken = FakeJudge(ScorerFailed("the judge critic@1.0.0 did not answer: timeout"))
    with pytest.raises(ScorerFailed, match="did not answer"):
        await judge(name, example_scored("Hello", context="x", judge=broken), params)


@pytest.mark.parametrize("name", ["judge", "pairwise"])
@pytest.mark.parametrize("params", [{}, {"rubric": ""}, {"rubric": 5}, {"rubric": "x", "allowSameModel": "yes"}])
def test_a_rubric_is_needed(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        find_scorer(name).parameters.model_validate(params)


def prefers(text: str) -> Callable[[Mapping[str, Any]], Any]:
    def answer(question: Mapping[str, Any]) -> Any:
        winner = "first" if question["first"] == text else "second" if question["second"] == text else "tie"
        return {"winner": winner, "reason": f"{text} is better"}

    return answer


@pytest.mark.parametrize(("liked", "value"), [("new", 1.0), ("old", 0.0), ("neither", 0.5)])
async def test_both_orders_are_asked_and_agree(judge: Judge, liked: str, value: float) -> None:
    critic = FakeJudge(prefers(liked))
    scored = example_scored("new", judge=critic, against=example_trial("old"), expected="not told", context="nor this")
    score = await judge("pairwise", scored, RUBRIC)
    assert score.value == value
    assert {*critic.questions[0], *critic.questions[1]} == {"task", "rubric", "input", "first", "second"}
    assert [(one["first"], one["second"]) for one in critic.questions] == [("new", "old"), ("old", "new")]
    assert score.details["positionBias"] is False
    assert score.details["judgeRuns"] == ["run-1", "run-2"]
    assert score.cost_usd == pytest.approx(0.002)


@pytest.mark.parametrize("always", ["first", "second"])
async def test_an_answer_that_changes_with_the_order_is_a_tie_and_bias(judge: Judge, always: str) -> None:
    scored = example_scored("new", judge=FakeJudge({"winner": always}), against=example_trial("old"))
    score = await judge("pairwise", scored, RUBRIC)
    assert (score.value, score.details["positionBias"]) == (0.5, True)
    assert {score.details["winner"], score.details["winnerSwapped"]} == {"candidate", "baseline"}


async def test_a_half_hearted_answer_is_bias_too(judge: Judge) -> None:
    answers = iter([{"winner": "first"}, {"winner": "tie"}])
    scored = example_scored("new", judge=FakeJudge(lambda question: next(answers)), against=example_trial("old"))
    score = await judge("pairwise", scored, RUBRIC)
    assert (score.value, score.details["positionBias"]) == (0.5, True)


@pytest.mark.parametrize("answers", [["first", "best"], ["best", "first"], [None, "tie"]])
async def test_a_winner_that_is_none_is_no_score(judge: Judge, answers: list[Any]) -> None:
    said = iter([{"winner": answer} for answer in answers])
    scored = example_scored("new", judge=FakeJudge(lambda question: next(said)), against=example_trial("old"))
    with pytest.raises(ScorerFailed, match="critic"):
        await judge("pairwise", scored, RUBRIC)


async def test_failed_runs_and_equal_outputs_need_no_judge(judge: Judge) -> None:
    critic = FakeJudge(ScorerFailed("must not be asked"))
    new, old, broken = example_trial("new"), example_trial("old"), example_failure()
    same = example_scored(judge=critic, trial=example_trial({"a": 1}), against=example_trial({"a": 1.0}))
    for scored, value in [
        (example_scored(judge=critic, trial=new, against=broken), 1.0),
        (example_scored(judge=critic, trial=broken, against=old), 0.0),
        (example_scored(judge=critic, trial=broken, against=broken), 0.5),
        (same, 0.5),
    ]:
        score = await judge("pairwise", scored, RUBRIC)
        assert (score.value, score.details) == (value, {"asked": False})
    assert critic.questions == []
    with pytest.raises(ScorerFailed, match="no production"):
        await judge("pairwise", example_scored("new", judge=critic), RUBRIC)


async def test_the_share_of_supported_claims(judge: Judge) -> None:
    claims = [{"claim": f"c{number}", "supported": number != 2} for number in range(4)]
    critic = FakeJudge({"claims": claims})
    score = await judge("hallucination", example_scored("text", judge=critic, context={"doc": "..."}))
    assert score.value == 0.75
    assert score.details["unsupported"] == ["c2"]
    assert critic.questions == [{"task": "claims", "output": "text", "context": {"doc": "..."}}]


async def test_without_context_nothing_can_be_made_up_or_not(judge: Judge) -> None:
    with pytest.raises(ScorerFailed, match="case one: has no `context`"):
        await judge("hallucination", example_scored("text", judge=FakeJudge({"claims": []})))


@pytest.mark.parametrize(
    "claims",
    [
        None,
        "all supported",
        [{"claim": "a"}],
        [{"claim": "a", "supported": "yes"}],
        [{"claim": " ", "supported": True}],
        [1],
    ],
)
async def test_claims_that_are_none_are_no_score(judge: Judge, claims: Any) -> None:
    with pytest.raises(ScorerFailed, match="no list of"):
        await judge("hallucination", example_scored("text", judge=FakeJudge({"claims": claims}), context="doc"))


async def test_no_claim_is_a_pass_only_where_the_suite_says_so(judge: Judge) -> None:
    scored = example_scored("Hello!", judge=FakeJudge({"claims": []}), context="doc")
    with pytest.raises(ScorerFailed, match="noClaims"):
        await judge("hallucination", scored)
    assert (await judge("hallucination", scored, {"noClaims": "supported"})).value == 1.0
