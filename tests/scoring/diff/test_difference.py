import math
from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.canonical import canonical
from penstock.contracts.eval_suite import DiffRules
from penstock.scoring.diff.cost import cost_difference
from penstock.scoring.diff.difference import difference_of
from penstock.scoring.diff.document import MOST_BYTES, MOST_CASES, MOST_CHANGES, difference_document
from penstock.scoring.diff.pair import TrialPair, pair_up
from penstock.scoring.diff.rule_faults import rule_faults
from penstock.scoring.diff.slo import nearest_rank, slo_difference
from penstock.scoring.measured import Problem
from penstock.scoring.trial import ToolCall, Trial

RULES = DiffRules.model_validate({})
MakeTrial = Callable[..., Trial]
MakePair = Callable[..., TrialPair]
MAIL, CARD = "ada@example.org", "4111 1111 1111 1111"


def test_cost_is_compared_case_by_case(trial: MakeTrial, pair: MakePair) -> None:
    pairs = [
        pair(trial(cost_usd=0.01 * n), trial(cost_usd=0.02 * n, prompt_tokens=20), case=f"c{n}") for n in range(1, 6)
    ]
    found = cost_difference(pairs)
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(2.0)
    assert (found.prompt_tokens, found.completion_tokens) == ((50, 100), (25, 25))
    assert list(found.usd) == pytest.approx([0.15, 0.30])
    assert found.rise == pytest.approx(1.0)
    assert found.ratio.lower <= found.ratio.value <= found.ratio.upper


def test_repeats_of_a_case_are_one_unit(trial: MakeTrial, pair: MakePair) -> None:
    pairs = [
        pair(trial(cost_usd=0.01), trial(cost_usd=0.01 + 0.001 * repeat), case=f"c{n}", repeat=repeat)
        for n in range(3)
        for repeat in range(4)
    ]
    found = cost_difference(pairs)
    assert found.ratio is not None
    assert found.ratio.n == 3


@pytest.mark.parametrize(
    ("before", "after", "rise"),
    [(0.0, 0.0, 0.0), (0.0, 0.1, math.inf), (None, 0.1, None), (0.1, None, None), (0.1, 0.2, 1.0)],
)
def test_a_cost_that_is_free_or_unknown_is_said(
    trial: MakeTrial, pair: MakePair, before: float | None, after: float | None, rise: float | None
) -> None:
    found = cost_difference([pair(trial(cost_usd=before), trial(cost_usd=after))])
    assert found.ratio is None
    assert found.rise == rise
    assert (found.usd[0] is None, found.usd[1] is None) == (before is None, after is None)


def test_slo_figures(trial: MakeTrial, pair: MakePair) -> None:
    pairs = [pair(trial(duration_ms=float(n)), trial(duration_ms=2.0 * n, ttft_ms=None)) for n in range(1, 101)]
    pairs[0] = pair(trial(duration_ms=1.0), trial(status="failed", duration_ms=2.0, ttft_ms=None))
    found = slo_difference(pairs)
    assert (found.p50_ms, found.p95_ms) == ((50.0, 100.0), (95.0, 190.0))
    assert found.success_rate == (1.0, 0.99)
    assert found.ttft_p50_ms == (10.0, None)
    assert found.success_drop == pytest.approx(0.01)
    assert found.p95_rise == pytest.approx(1.0)
    nothing = slo_difference([])
    assert (nothing.success_drop, nothing.p95_rise, nothing.p50_ms) == (None, None, (None, None))
    assert nearest_rank([3.0], 0.0) == 3.0


def test_all_parts_count_pairs(trial: MakeTrial, pair: MakePair) -> None:
    steps = ("run.started", "llm.finished:m", "tool.finished:a", "llm.finished:m", "run.finished")
    pairs = [
        pair(trial({"a": 1}), trial({"a": 1}), case="same", again=trial({"a": 1})),
        pair(trial({"a": [1, 2]}), trial({"a": [1, 3]}), case="other", again=trial({"a": [1, 2]})),
        pair(trial({"a": 1}), trial({"a": 1}, steps=steps), case="steps", again=trial({"a": 2}, steps=steps)),
        pair(trial({"a": 1}), trial(status="failed"), case="failed"),
    ]
    found = difference_of(pairs, RULES)
    counts = found.counts()
    assert (counts["pairs"], counts["artifact"]["changed"], counts["artifact"]["share"]) == (4, 2, 0.5)
    assert (counts["events"]["changed"], counts["events"]["equal"]) == (1, 3)
    assert counts["artifact"]["noiseFloor"]["share"] == pytest.approx(1 / 3)
    assert counts["events"]["noiseFloor"]["pairs"] == 3
    assert dict(found.changed_paths) == {"$.a[*]": 1, "$": 1}


def test_both_failing_alike_is_no_difference_of_artifacts(trial: MakeTrial, pair: MakePair) -> None:
    [one] = difference_of([pair(trial(status="failed"), trial(status="failed"))], RULES).pairs
    assert one.equal


def test_an_output_of_null_is_not_a_failed_run(trial: MakeTrial, pair: MakePair) -> None:
    [one] = difference_of([pair(trial(None), trial(status="failed"))], RULES).pairs
    assert one.artifact_changed


def test_without_a_second_run_of_prod_there_is_no_floor(trial: MakeTrial, pair: MakePair) -> None:
    counts = difference_of([pair(trial(), trial())], RULES).counts()
    assert counts["events"]["noiseFloor"] is None


def test_no_pair_is_no_figure(trial: MakeTrial) -> None:
    document = difference_document(difference_of([], RULES))
    assert (document["pairs"], document["artifact"]["share"], document["slo"]["p95Ms"]) == (0, None, [None, None])
    canonical(document)


def test_repeats_are_paired_and_prod_goes_on_as_again(trial: MakeTrial) -> None:
    from penstock.contracts.dataset import Case
    from penstock.scoring.case_set import EvalCase

    cases = [EvalCase("d", Case.model_validate({"id": name, "input": 1}), f"sha256:{name}") for name in "abc"]
    old = {f"d/{name}": [trial(repeat=repeat) for repeat in range(3)] for name in "ab"}
    new = {"d/a": [trial(repeat=1)], "d/c": [trial(repeat=0)]}
    [pair] = pair_up(cases, old, new, 2)
    assert (pair.case, pair.repeat) == ("d/a", 1)
    assert pair.again is old["d/a"][2]


def test_changed_cases_come_first_and_the_rest_is_counted(trial: MakeTrial, pair: MakePair) -> None:
    pairs = [
        pair(trial({"a": 1}), trial({"a": 1 if n < MOST_CASES + 20 else 2}), case=f"c{n:03}")
        for n in range(MOST_CASES + 30)
    ]
    document = difference_document(difference_of(pairs, RULES))
    assert (len(document["cases"]), document["casesInAll"]) == (MOST_CASES, MOST_CASES + 30)
    assert [case["equal"] for case in document["cases"]] == [False] * 10 + [True] * (MOST_CASES - 10)
    assert document["artifact"]["byPath"] == [{"path": "$.a", "changed": 10}]
    canonical(document)


def test_large_outputs_are_shown_in_part(trial: MakeTrial, pair: MakePair) -> None:
    old, new = [{"rows": [f"{word} {n} {'x' * 300}" for n in range(1_000)]} for word in ("row", "line")]
    pairs = [pair(trial(old), trial(new), case=f"c{n}") for n in range(6)]
    document = difference_document(difference_of(pairs, RULES))
    assert 1 <= len(document["cases"]) < 6
    assert document["casesInAll"] == 6
    assert len(canonical(document)) < 2 * MOST_BYTES
    [first, *_] = document["cases"]
    assert (len(first["difference"]), first["differenceInAll"]) == (MOST_CHANGES, 1_000)


def test_a_long_value_is_its_text_cut(trial: MakeTrial, pair: MakePair) -> None:
    pairs = [pair(trial({"rows": list(range(5_000))}), trial({}))]
    [case] = difference_document(difference_of(pairs, RULES))["cases"]
    [change] = case["difference"]
    assert change["before"].startswith("[0,1,2,")
    assert change["before"].endswith("characters more]")


def test_rules_that_are_no_paths_are_found_with_their_place() -> None:
    written = {"ignore": ["$.a", "b"], "tolerances": [{"path": "$.x["}], "unordered": ["$..a..b..c", "$.ok[*]"]}
    found = dict(rule_faults(DiffRules.model_validate(written)))
    assert list(found) == [("ignore", 1), ("tolerances", 0, "path"), ("unordered", 0)]
    assert all("is no JSON path" in what for what in found.values())


def test_nothing_of_a_recorded_run_stands_unredacted(
    trial: MakeTrial, pair: MakePair, refused: Callable[..., ToolCall]
) -> None:
    secret = {"user": {"mail": MAIL, "phone": "030 901820"}, MAIL: 1, "note": "x" * 3_990 + f" {MAIL} and {CARD}"}
    other = {"user": {"mail": f"b{MAIL}", "phone": "030 901821"}, MAIL: 2, "note": CARD}
    failure = {"code": "schema", "what": f"{MAIL} does not fit", "where": "echo", "now": ""}
    calls = (ToolCall("find", {"q": MAIL}, {"hit": CARD}, None, "journal"), refused({"to": MAIL}))
    named = ("run.started", f"tool.failed:{MAIL}")
    pairs = [
        pair(trial(secret), trial(other, calls=calls, steps=named), source="recorded", case="production/1"),
        pair(trial(secret), trial(status="failed", failure=failure), source="recorded", case="production/2"),
    ]
    problems = [("candidate", Problem("production/3", 0, f"the model said {MAIL}"))]
    text = canonical(difference_document(difference_of(pairs, RULES), problems)).decode()
    for hidden in (MAIL, "ada@", "example.org", CARD, "901820", "901821"):
        assert hidden not in text
    assert "[EMAIL]" in text
    assert "[CREDIT_CARD]" in text


def test_a_case_of_a_dataset_is_shown_as_it_is(
    trial: MakeTrial, pair: MakePair, refused: Callable[..., ToolCall]
) -> None:
    pairs = [pair(trial({"mail": MAIL}), trial({"mail": "x"}, calls=(refused({"to": MAIL}),)))]
    [case] = difference_document(difference_of(pairs, RULES))["cases"]
    assert case["difference"] == [{"path": "$.mail", "kind": "changed", "before": MAIL, "after": "x"}]
    assert case["refused"] == [{"tool": "store", "arguments": {"to": MAIL}, "why": "a shadow run changes nothing"}]
    assert (case["source"], case["equal"], case["baseline"]["output"]) == ("dataset", False, {"mail": MAIL})


def test_what_cannot_be_redacted_is_no_artifact(trial: MakeTrial, pair: MakePair) -> None:
    from penstock.governance.redaction import NotRedacted

    deep: Any = MAIL
    for _ in range(300):
        deep = [deep]
    pairs = [pair(trial("a"), trial("b", calls=(ToolCall("x", deep),)), source="recorded")]
    found = difference_of(pairs, RULES)
    with pytest.raises(NotRedacted):
        difference_document(found)
