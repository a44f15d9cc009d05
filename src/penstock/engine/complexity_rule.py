"""A run's complexity by the agent's rules. Pure: an equal run is always equally complex."""

from penstock.contracts.model_choice import Complexity, ComplexityChoice, Measures


def complexity_by_rule(
    choice: ComplexityChoice, input_characters: int, history_messages: int
) -> tuple[Complexity, str]:
    """The complexity and why, by the first rule that fits."""
    for number, rule in enumerate(choice.rule or (), start=1):
        bounds = _bounds(rule.below, input_characters, history_messages)
        if all(size < bound for _, size, bound in bounds):
            reasons = " and ".join(f"{name} {size} is below {bound}" for name, size, bound in bounds)
            return rule.choose, f"rule {number}: {reasons}"
    return choice.otherwise, f"no rule fits {input_characters} inputCharacters, {history_messages} historyMessages"


def _bounds(below: Measures, input_characters: int, history_messages: int) -> list[tuple[str, int, int]]:
    bounds = [
        ("inputCharacters", input_characters, below.input_characters),
        ("historyMessages", history_messages, below.history_messages),
    ]
    return [(name, size, bound) for name, size, bound in bounds if bound is not None]
