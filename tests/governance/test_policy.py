from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contracts.policy import PolicySpec, Rule
from penstock.governance.policy import ACTIONS, STAGES, Decider, Decision

NAMES = ("a", "ab", "b")
SUBJECTS = [f"{kind}:{name}" for kind in ("agent", "user") for name in NAMES]
RESOURCES = [f"{kind}/{name}" for kind in ("tools", "models") for name in NAMES]


def decider(*rules: dict[str, Any]) -> Decider:
    return Decider([("policies/p@1.0.0", PolicySpec.model_validate({"rules": list(rules)}))])


def oracle(rules: Sequence[Rule], subjects: Sequence[str], action: str, resource: str, stage: str) -> Rule | None:
    def hit(patterns: list[str] | None, texts: Sequence[str]) -> bool:
        return patterns is None or any(
            text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
            for pattern in patterns for text in texts
        )  # fmt: skip

    for effect in ("deny", "allow"):
        for rule in rules:
            in_stage = rule.stages is None or stage in rule.stages
            matches = hit(rule.actions, [action]) and hit(rule.resources, [resource]) and hit(rule.subjects, subjects)
            if rule.effect == effect and in_stage and matches:
                return rule
    return None


def patterns(texts: Sequence[str]) -> st.SearchStrategy[list[str] | None]:
    prefixes = [text[:cut] + "*" for text in texts for cut in range(len(text) + 1)]
    return st.none() | st.lists(st.sampled_from([*texts, *prefixes]), max_size=3)


RULES = st.lists(
    st.builds(
        lambda number, **fields: {"name": f"r{number}", **{k: v for k, v in fields.items() if v is not None}},
        number=st.integers(0, 999),
        effect=st.sampled_from(["allow", "deny"]),
        actions=patterns(ACTIONS),
        subjects=patterns(SUBJECTS),
        resources=patterns(RESOURCES),
        stages=st.none() | st.lists(st.sampled_from(STAGES), max_size=2),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=400, deadline=None)
@given(RULES, st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=3), st.data())
def test_decides_as_a_plain_reading_of_the_rules_does(
    rules: list[dict[str, Any]], subjects: list[str], data: st.DataObject
) -> None:
    action, stage = data.draw(st.sampled_from(ACTIONS)), data.draw(st.sampled_from(STAGES))
    resource = data.draw(st.sampled_from(RESOURCES))
    spec = PolicySpec.model_validate({"rules": rules})
    expected = oracle(spec.rules, subjects, action, resource, stage)
    decision = decider(*rules).decide(subjects, action, resource, stage)
    assert decision.allowed == (expected is not None and expected.effect == "allow")
    assert decision.rule == (expected.name if expected else None)


def test_deny_wins_over_an_earlier_allow_and_says_why() -> None:
    one = decider(
        {"name": "all", "effect": "allow"},
        {"name": "no-mail", "effect": "deny", "resources": ["tools/mail*"], "reason": "no mail from here"},
    )
    assert one.decide(["agent:a"], "tool.call", "tools/search", "prod").allowed
    assert one.decide(["agent:a"], "tool.call", "tools/mailer", "prod") == Decision(
        False, "no-mail", "policies/p@1.0.0", "no mail from here"
    )


def test_no_rule_means_deny() -> None:
    one = decider({"name": "dev", "effect": "allow", "stages": ["dev"]})
    assert one.decide(["agent:a"], "run.start", "agents/a", "dev").allowed
    assert one.decide(["agent:a"], "run.start", "agents/a", "prod") == Decision(False, None, None, "no rule allows it")
    assert not one.decide(["agent:a"], "an.unknown.action", "agents/a", "dev").allowed


def test_a_name_that_looks_like_a_pattern_gains_nothing() -> None:
    one = decider({"name": "ada", "effect": "allow", "subjects": ["user:ada*"]})
    assert not one.decide(["user:*"], "run.start", "agents/a", "prod").allowed
    assert not one.decide(["user:a*"], "run.start", "agents/a", "prod").allowed


class _Counted(dict[Any, Any]):
    """A table that counts how often it is asked."""

    asked = 0

    def get(self, key: Any, default: Any = None) -> Any:
        self.asked += 1
        return super().get(key, default)


def test_thousand_rules_take_no_more_look_ups_than_ten() -> None:
    def look_ups(count: int) -> int:
        one = decider(
            *(
                {"name": f"r{n}", "effect": "allow", "subjects": [f"user:u{n}"], "resources": [f"tools/t{n}"]}
                for n in range(count)
            )
        )
        table = one._grids["tool.call", "prod"] = _Counted(one._grids["tool.call", "prod"])
        assert one.decide(("agent:a", "user:u1"), "tool.call", "tools/t1", "prod").allowed
        return table.asked

    assert 0 < look_ups(1000) == look_ups(10)
