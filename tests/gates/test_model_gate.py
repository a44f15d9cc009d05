import threading
from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.contracts.release import Release
from penstock.gates.context import GateContext
from penstock.gates.gate import gate_inputs, run_gate
from penstock.llm.load import load
from penstock.llm.route import route_of, unmapped_parameters

Make = Callable[..., GateContext]
PRICE = {"inputUsdPer1M": 1.0, "outputUsdPer1M": 2.0}
LIMITS = ["rate limit", "server failure", "refused key", "timeout", "context length"]
USE = GateUse.model_validate({"gate": "model"})


@pytest.fixture(scope="module", autouse=True)
def _litellm() -> None:
    load()  # its import takes longer than all cases together


@pytest.fixture
def with_model(release_of: Callable[..., Release], tool_of: Callable[..., dict[str, Any]]) -> Callable[..., Release]:
    """A release with a tool and an object as its output, which asks this model."""

    def make(model: str, parameters: dict[str, Any] | None = None, price: Any = PRICE, **more: Any) -> Release:
        document = release_of([tool_of({})]).as_document()
        document["agent"]["document"]["spec"]["output"] = more.pop("output", {"schema": {"type": "object"}})
        spec = {"model": model, "contextTokens": 1000, "parameters": parameters or {}, **more}
        document["models"][0]["document"]["spec"] = spec if price is None else {**spec, "price": price}
        return Release.model_validate(document)

    return make


def cases(result: GateResult) -> dict[str, tuple[str, str]]:
    return {row["case"]: (row["outcome"], row["what"]) for row in result.artifacts["cases"]}


def test_a_model_over_http_does_all_that_is_asked_of_it(with_model: Callable[..., Release], context: Make) -> None:
    parameters = {
        "apiKey": {"secret": "OPENAI_API_KEY"},
        "apiBase": "https://192.0.2.1/v1",  # a documentation address: were it called, nothing would answer
        "temperature": 0.2,
        "maxTokens": 300,
        "extraBody": {"fancy": True},
    }
    result = run_gate(context(with_model("openai/gpt-4o", parameters)), USE)
    assert (result.outcome, result.reason) == ("passed", "10 cases hold for openai/gpt-4o")
    rows = cases(result)
    assert list(rows) == ["routing", "answer", "stream", "tool call", "structured output", *LIMITS]
    assert rows["routing"] == ("passed", "openai is asked for gpt-4o: temperature, maxTokens, extraBody")
    assert rows["answer"][1].endswith(" USD")
    assert rows["rate limit"][1].startswith("429 may be retried after 1 s, and then answers")
    assert rows["context length"][1].endswith("the spec says 1000 tokens, LiteLLM's table 128000")
    assert [thread.name for thread in threading.enumerate() if "model-server" in thread.name] == []


def test_a_model_without_litellm_passes_the_same_cases(with_model: Callable[..., Release], context: Make) -> None:
    parameters = {"apiKey": {"secret": "KEY"}, "apiBase": "https://192.0.2.1/v1", "maxTokens": 5, "extraBody": {"x": 1}}
    asked = context(with_model("our-model", parameters, transport="openai-compatible"))
    result = run_gate(asked, USE)
    assert (result.outcome, result.reason) == ("passed", "10 cases hold for our-model")
    rows = cases(result)
    assert list(rows) == ["routing", "answer", "stream", "tool call", "structured output", *LIMITS]
    assert rows["routing"][1] == "an OpenAI-compatible endpoint is asked for our-model: maxTokens, extraBody"
    assert list(gate_inputs(asked, USE)["runtimes"]) == ["aiohttp"]


def test_a_parameter_may_take_another_name_on_the_way(with_model: Callable[..., Release], context: Make) -> None:
    result = run_gate(context(with_model("openai/gpt-5", {"maxTokens": 300})), USE)
    assert cases(result)["routing"][1] == "openai is asked for gpt-5: maxTokens as max_completion_tokens"


def test_a_parameter_that_the_model_does_not_take_fails(with_model: Callable[..., Release], context: Make) -> None:
    result = run_gate(context(with_model("openai/o3-mini", {"temperature": 0.2})), USE)
    assert result.outcome == "failed"
    assert result.reason.startswith("openai/o3-mini: routing: the provider refused the request as malformed: 400")
    assert cases(result)["routing"][0] == "failed"
    dropped = run_gate(context(with_model("openai/o3-mini", {"temperature": 0.2, "dropParams": True})), USE)
    assert cases(dropped)["routing"] == (
        "passed",
        "openai is asked for o3-mini: temperature dropped, as the spec lets it be",
    )


def test_a_model_without_a_price_fails(with_model: Callable[..., Release], context: Make) -> None:
    result = run_gate(context(with_model("openai/our-own-model", price=None)), USE)
    assert result.outcome == "failed"
    assert "no cost can be accounted for" in cases(result)["answer"][1]
    assert cases(result)["routing"][0] == "passed"


def test_what_the_agent_never_asks_for_is_not_tried(
    with_model: Callable[..., Release], release_of: Callable[..., Release], context: Make
) -> None:
    result = run_gate(context(with_model("openai/gpt-4o", output={"schema": {"type": "string"}})), USE)
    assert cases(result)["structured output"] == ("skipped", "the agent's output is no object")
    assert result.reason.endswith("; 1 not run: the agent's output is no object")
    assert result.measured == {"cases": 10, "passed": 9, "failed": 0, "skipped": 1}


def test_a_provider_with_its_own_protocol_is_judged_by_tables_and_that_is_said(
    with_model: Callable[..., Release], context: Make
) -> None:
    result = run_gate(context(with_model("anthropic/claude-sonnet-4-20250514", {"temperature": 0.2})), USE)
    assert result.outcome == "passed"
    assert result.reason.startswith("1 cases hold for anthropic/claude-sonnet-4-20250514; 9 not run: anthropic has a")
    assert cases(result)["routing"][1].endswith("by its tables alone")
    assert cases(result)["answer"][0] == "skipped"
    lost = run_gate(context(with_model("anthropic/claude-sonnet-4-20250514", {"logitBias": {"1": 1}})), USE)
    assert (lost.outcome, cases(lost)["routing"]) == (
        "failed",
        ("failed", "LiteLLM cannot hand logitBias to anthropic"),
    )


def test_a_model_of_no_provider_fails(with_model: Callable[..., Release], context: Make) -> None:
    result = run_gate(context(with_model("opnai/gpt-4o")), USE)
    assert (result.outcome, result.reason) == (
        "failed",
        "opnai/gpt-4o: routing: LiteLLM knows no provider of 'opnai/gpt-4o'",
    )


def test_the_scripted_model_answers_in_process(with_model: Callable[..., Release], context: Make) -> None:
    rows = cases(run_gate(context(with_model("scripted/qa-rules")), USE))
    passed = ["routing", "answer", "stream", "tool call", "structured output"]
    assert [name for name, row in rows.items() if row[0] == "passed"] == passed
    assert [name for name, row in rows.items() if row[0] == "skipped"] == LIMITS
    result = run_gate(context(with_model("scripted/none")), USE)
    assert (result.outcome, "does not know the model: 404" in result.reason) == ("failed", True)


def test_a_model_that_prod_has_already_is_not_tried_again(with_model: Callable[..., Release], context: Make) -> None:
    release = with_model("openai/gpt-4o")
    same = context(release, baseline=release)
    result = run_gate(same, USE)
    assert (result.outcome, result.reason, result.baseline) == (
        "passed",
        "the model is the one of prod",
        release.digest,
    )
    other = context(release, baseline=with_model("openai/gpt-4o", {"temperature": 0.5}))
    assert gate_inputs(other, USE)["baseline"] is None
    assert gate_inputs(other, USE) == gate_inputs(context(release), USE)
    assert gate_inputs(other, USE)["runtimes"]["litellm"]
    assert run_gate(other, USE).measured["cases"] == 10


def test_cases_that_take_too_long_are_no_evidence(
    with_model: Callable[..., Release], context: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.gates import model_cases

    monkeypatch.setattr(model_cases, "_SHORT_S", 30.0)  # the case of an endpoint that never answers
    use = GateUse.model_validate({"gate": "model", "params": {"timeoutS": 2}})
    result = run_gate(context(with_model("openai/gpt-4o")), use)
    assert (result.outcome, result.reason) == ("errored", "the model's cases were not through within 2 s")


async def test_a_gate_that_is_asked_from_a_running_loop_answers_too(
    with_model: Callable[..., Release], context: Make
) -> None:
    assert run_gate(context(with_model("openai/gpt-4o")), USE).outcome == "passed"


@pytest.mark.parametrize(
    ("model", "provider", "name", "kind"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o", "chat"),
        ("gpt-4o", "openai", "gpt-4o", "chat"),
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o", "chat"),
        ("openai/gpt-5-pro", "openai", "gpt-5-pro", "other"),
        ("openai/responses/gpt-4o", "openai", "responses/gpt-4o", "other"),
        (
            "bedrock/anthropic.claude-3-haiku-20240307-v1:0",
            "bedrock",
            "anthropic.claude-3-haiku-20240307-v1:0",
            "other",
        ),
        ("scripted/qa-rules", "scripted", "qa-rules", "in-process"),
        ("nobody/knows", "", "nobody/knows", "other"),
    ],
)
def test_routes_are_known_without_a_call(model: str, provider: str, name: str, kind: str) -> None:
    route = route_of(model)
    assert (route.provider, route.name, route.kind) == (provider, name, kind)
    assert bool(route.why) == (kind == "other")


def test_parameters_that_a_provider_does_not_take_are_known() -> None:
    route = route_of("anthropic/claude-sonnet-4-20250514")
    assert unmapped_parameters(route, ["temperature", "logit_bias", "api_base", "their_own"]) == ["logit_bias"]
