"""A judge against people's labels."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from penstock.contracts.dataset import Case
from penstock.contracts.eval_suite import ScorerUse
from penstock.errors import Unavailable
from penstock.scoring.calibration import AT_ONCE, Calibration, calibrate
from penstock.scoring.scorer import Kind, Scored, Scorer, ScorerFailed, find_scorer
from penstock.scoring.scorer_set import ReadyScorer
from penstock.scoring.statistics.agreement import cohen_kappa, krippendorff_alpha
from penstock.testing.example_release import example_release
from penstock.testing.example_trial import CANDIDATE, FakeJudge

CRITIC = "agents/critic@1.0.0"


def grader(judge: FakeJudge) -> ReadyScorer:
    use = ScorerUse.model_validate({"scorer": "judge", "agent": CRITIC, "calibration": "labels"})
    parameters = {"rubric": "?", "allow_same_model": False}
    return ReadyScorer(use=use, scorer=find_scorer("judge"), parameters=parameters, digest="", judge=judge)


def words(kind: Kind, answers: Mapping[str, Any]) -> ReadyScorer:
    """A judge of another package that answers words, or yes and no."""

    async def asked(scored: Scored, **parameters: Any) -> Any:
        return answers[str(scored.trial.output)]

    use = ScorerUse.model_validate({"scorer": "mood", "agent": CRITIC, "calibration": "labels"})
    scorer = Scorer("mood", asked, kind, 1, ["asks-judge"])
    return ReadyScorer(use=use, scorer=scorer, parameters={}, digest="", judge=FakeJudge({}))


def labelled(pairs: Sequence[tuple[Any, Any]]) -> list[Case]:
    """Cases of (answer, label)."""
    return [
        Case.model_validate({"id": f"c{number}", "input": "q", "answer": answer, "label": label})
        for number, (answer, label) in enumerate(pairs)
    ]


def graded(question: Mapping[str, Any]) -> dict[str, float]:
    return {"score": question["output"]}


async def test_numbers_are_compared_by_alpha() -> None:
    pairs = [(0.1, 0.0), (0.5, 0.4), (0.9, 1.0), (0.7, 0.7), (0.2, 0.3), (1.0, 0.9)]
    found = await calibrate(grader(FakeJudge(graded)), labelled(pairs), CANDIDATE)
    alpha = krippendorff_alpha([label for _, label in pairs], [answer for answer, _ in pairs])
    assert (found.statistic, found.value, found.lower, found.upper) == ("alpha", alpha.value, alpha.lower, alpha.upper)
    assert found.value is not None
    assert found.value > 0.9
    assert found.as_document() == {
        "statistic": "alpha",
        "value": alpha.value,
        "lower": alpha.lower,
        "upper": alpha.upper,
        "n": 6,
        "confusion": None,
        "failed": [],
        "why": "",
    }


async def test_a_grade_above_one_half_is_a_yes() -> None:
    pairs = [(0.9, True), (0.6, True), (0.5, True), (0.1, False), (0.4, False), (0.8, False)]
    found = await calibrate(grader(FakeJudge(graded)), labelled(pairs), CANDIDATE)
    kappa = cohen_kappa([True, True, True, False, False, False], [True, True, False, False, False, True])
    assert (found.statistic, found.value, found.n) == ("kappa", kappa.value, 6)
    assert found.value == pytest.approx(1 / 3)
    assert found.confusion == {"true": {"true": 2, "false": 1}, "false": {"false": 2, "true": 1}}
    assert Calibration.from_document(found.as_document()) == found


async def test_words_are_compared_by_kappa() -> None:
    answers = {"a": "good", "b": "bad", "c": "odd", "d": "good"}
    people = [("a", "good"), ("b", "bad"), ("c", "bad"), ("d", "good")]
    found = await calibrate(words("label", answers), labelled(people), CANDIDATE)
    assert found.value == pytest.approx(
        cohen_kappa(["good", "bad", "bad", "good"], ["good", "bad", "odd", "good"]).value
    )
    assert found.confusion == {"good": {"good": 2}, "bad": {"bad": 1, "odd": 1}}


async def test_yes_and_no_are_compared_by_kappa() -> None:
    found = await calibrate(
        words("assertion", {"a": True, "b": False, "c": True}),
        labelled([("a", True), ("b", False), ("c", False)]),
        CANDIDATE,
    )
    assert (found.statistic, found.n) == ("kappa", 3)


async def test_cases_without_a_label_are_no_part_of_it() -> None:
    cases = [*labelled([(0.9, True), (0.1, False)]), Case.model_validate({"id": "x", "input": "q", "expected": 1})]
    assert (await calibrate(grader(FakeJudge(graded)), cases, CANDIDATE)).n == 2


async def test_what_the_judge_did_not_judge_is_told() -> None:
    def sometimes(question: Mapping[str, Any]) -> Any:
        return "nonsense" if question["output"] == 0.3 else graded(question)

    pairs = [(0.9, True), (0.3, False), (0.1, False)]
    found = await calibrate(grader(FakeJudge(sometimes)), labelled(pairs), CANDIDATE)
    assert found.n == 2
    assert len(found.failed) == 1
    assert "case c1" in found.failed[0]


async def test_agreement_that_is_not_defined_is_said_so() -> None:
    found = await calibrate(grader(FakeJudge({"score": 1})), labelled([(0.9, True), (0.8, True)]), CANDIDATE)
    assert (found.value, found.lower, found.upper, found.n) == (None, None, None, 2)
    assert found.why


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "no case has an answer and a label"),
        ([(0.5, None)], "no case has an answer and a label"),
        ([(0.5, "good")], "is a score: labels must all be numbers from 0 to 1, or true or false"),
        ([(0.5, True), (0.5, 0.5)], "labels must all be"),
        ([(0.5, 4.0)], "labels must all be"),
    ],
)
async def test_labels_that_cannot_be_compared_are_refused(pairs: list[Any], said: str) -> None:
    with pytest.raises(ScorerFailed, match=said):
        await calibrate(grader(FakeJudge(graded)), labelled(pairs), CANDIDATE)


async def test_a_judge_that_judges_nothing_is_no_calibration() -> None:
    with pytest.raises(ScorerFailed, match="judged no labelled answer"):
        await calibrate(grader(FakeJudge("nonsense")), labelled([(0.5, True)]), CANDIDATE)
    own = example_release(model={"model": "example/judge"})[0]
    with pytest.raises(ScorerFailed, match="both ask example/judge"):
        await calibrate(grader(FakeJudge(graded)), labelled([(0.5, True)]), own)


async def test_what_ends_everything_goes_through() -> None:
    with pytest.raises(Unavailable, match="no database"):
        await calibrate(grader(FakeJudge(Unavailable("no database"))), labelled([(0.5, True)] * 1), CANDIDATE)


async def test_few_are_asked_at_once() -> None:
    now = most = 0
    turn = asyncio.Event()

    class Counting(FakeJudge):
        async def ask(self, question: Mapping[str, Any]) -> Any:
            nonlocal now, most
            now += 1
            most = max(most, now)
            if now == AT_ONCE:
                turn.set()
            await turn.wait()
            now -= 1
            return await super().ask(question)

    found = await calibrate(grader(Counting(graded)), labelled([(n / 40, n > 20) for n in range(41)]), CANDIDATE)
    assert (found.n, most) == (41, AT_ONCE)
