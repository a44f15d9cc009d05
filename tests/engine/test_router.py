import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.engine.router import RuntimeRouter
from penstock.errors import Invalid, NotFound, Refused, Unavailable
from penstock.testing.example_release import example_declaration, example_release

POOR = {"modes": ["workflow"], "maxContextTokens": 4096}
RICH = {"modes": ["workflow", "conversational"], "toolCalling": True, "streaming": True, "maxContextTokens": 128_000}


def router(**capabilities: dict[str, object]) -> RuntimeRouter:
    return RuntimeRouter(
        {name: example_declaration(name, adapter="direct", capabilities=able) for name, able in capabilities.items()}
    )


def test_selector_override_and_default() -> None:
    three = router(one=RICH, two=RICH, three=RICH)
    chosen, _ = example_release({"runtime": {"selector": "two"}})
    free, _ = example_release()
    assert three.choose(chosen, None, "one").declaration.metadata.name == "two"
    assert three.choose(chosen, "three", "one").declaration.metadata.name == "three"
    assert three.choose(free, None, "one").declaration.metadata.name == "one"
    assert isinstance(three.choose(free, None, "one"), DirectRuntime)


def test_refusal_names_every_missing_capability_and_who_could() -> None:
    needs = {"streaming": True, "multimodal": True, "humanInLoop": True, "contextTokens": 8000}
    release, _ = example_release({"mode": "conversational", "runtime": {"requires": needs}}, tools={"weather": {}})
    with pytest.raises(Refused) as refused:
        router(poor=POOR, rich=RICH).choose(release, "poor", "rich")
    for capability in ("mode conversational", "toolCalling", "humanInLoop", "multimodal", "streaming", "8000"):
        assert capability in refused.value.what
    assert refused.value.now == "runtimes that can: none"
    plain, _ = example_release(tools={"weather": {}})
    with pytest.raises(Refused) as refused:
        router(poor=POOR, rich=RICH).choose(plain, "poor", "rich")
    assert refused.value.now == "runtimes that can: rich"


def test_matching_lists_the_installed_and_capable() -> None:
    release, _ = example_release(tools={"weather": {}})
    two = router(poor=POOR, rich=RICH)
    two.declarations["away"] = example_declaration("away", "no-such-distribution", adapter="direct", capabilities=RICH)
    assert two.matching(release) == ["rich"]


def test_undeclared_runtime_is_not_found() -> None:
    release, _ = example_release()
    with pytest.raises(NotFound, match="ghost") as refused:
        router(one=RICH).choose(release, "ghost", "one")
    assert "one" in refused.value.now


def test_runtime_that_is_not_installed_says_the_pip_line() -> None:
    release, _ = example_release()
    away = RuntimeRouter({"langgraph": example_declaration("langgraph", "no-such-distribution")})
    with pytest.raises(Unavailable) as refused:
        away.choose(release, None, "langgraph")
    assert "pip install 'penstock[langgraph]'" in refused.value.now


def test_version_outside_the_range_is_refused() -> None:
    release, _ = example_release()
    old = RuntimeRouter({"one": example_declaration("one", "pydantic", adapter="direct", versions=">=1,<2")})
    with pytest.raises(Unavailable, match="tried with >=1,<2"):
        old.choose(release, None, "one")
    broken = RuntimeRouter({"one": example_declaration("one", "pydantic", adapter="direct", versions="newest")})
    with pytest.raises(Invalid, match="no version range"):
        broken.choose(release, None, "one")


def test_it_says_how_many_runs_a_runtime_bears() -> None:
    one = RuntimeRouter({name: example_declaration(name, limits={"concurrentRuns": 3}) for name in ("a", "b")})
    assert (one.runs_at_once("a"), one.runs_at_once("c")) == (3, None)
