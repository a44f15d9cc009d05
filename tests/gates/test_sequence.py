from typing import Any

from penstock.engine.sequence import Step, sequence_of
from penstock.gates.sequence import sequence_difference


def event(type_: str, **data: Any) -> dict[str, Any]:
    return {"type": type_, "data": data}


def tool(type_: str, name: str, call: int, **data: Any) -> dict[str, Any]:
    return event(f"tool.{type_}", tool=name, callId=f"c_0123456789ab_1_{call}", **data)


START = [event("run.started"), event("llm.started", model="m"), event("llm.finished", model="m")]
END = [event("llm.started", model="m"), event("llm.finished", model="m"), event("run.finished")]


def test_calls_in_flight_together_are_a_set() -> None:
    parallel = [
        tool("started", "a", 1),
        tool("started", "b", 2),
        tool("finished", "b", 2),
        tool("finished", "a", 1),
    ]
    one_by_one = [
        tool("started", "b", 2),
        tool("finished", "b", 2),
        tool("started", "a", 1),
        tool("finished", "a", 1),
    ]
    assert sequence_of([*START, *parallel, *END]) == sequence_of([*START, *one_by_one, *END])
    assert [str(step) for step in sequence_of([*START, *parallel, *END])] == [
        *("run.started", "llm.started:m", "llm.finished:m"),
        *("tool.started:a", "tool.finished:a", "tool.started:b", "tool.finished:b"),
        *("llm.started:m", "llm.finished:m", "run.finished"),
    ]


def test_the_tenth_call_comes_after_the_second() -> None:
    calls = [tool("started", f"t{number}", number) for number in (10, 2, 1)]
    assert [step.name for step in sequence_of(calls)] == ["t1", "t2", "t10"]


def test_calls_of_two_turns_are_not_mixed() -> None:
    first, second = tool("started", "a", 1), tool("started", "b", 1)
    assert sequence_of([first, *END[:2], second]) != sequence_of([second, *END[:2], first])


def test_other_arguments_are_another_call() -> None:
    one, other = (sequence_of([tool("started", "a", 1, digest=f"sha256:{digit}")]) for digit in "12")
    assert one != other
    assert [str(step) for step in one] == [str(step) for step in other]


def test_deltas_and_allowed_decisions_are_left_out_and_denials_stay() -> None:
    events = [
        event("policy.decided", resource="agents/x", allowed=True),
        event("run.started"),
        event("token.delta", text="a"),
        event("policy.decided", resource="tools/b", allowed=False),
        event("policy.decided", resource="tools/a", allowed=True),
        tool("started", "a", 2),
        tool("failed", "b", 1, code="policy"),
        tool("finished", "a", 2),
    ]
    assert [str(step) for step in sequence_of(events)] == [
        "run.started",
        "policy.decided:b",
        "tool.failed:b",
        "tool.started:a",
        "tool.finished:a",
    ]


def test_a_denied_run_start_stays() -> None:
    events = [event("policy.decided", resource="agents/x", allowed=False), event("run.rejected")]
    assert sequence_of(events) == [Step("policy.decided", "x"), Step("run.rejected")]


def test_how_a_run_failed_is_part_of_the_step() -> None:
    limit, model = (
        sequence_of([event("run.failed", error={"code": code, "what": "x"})]) for code in ("limit", "model")
    )
    assert limit != model


def test_a_difference_names_both_sides() -> None:
    before, after = [Step("a"), Step("b", "x")], [Step("a"), Step("b", "y")]
    assert sequence_difference(before, before, ("1", "2")) == []
    assert sequence_difference(before, after, ("1", "2")) == ["--- 1", "+++ 2", "@@ -1,2 +1,2 @@", " a", "-b:x", "+b:y"]
