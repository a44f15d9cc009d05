import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.registry.prompt_file import PromptFile, split_prompt
from penstock.registry.prompt_text import render, template_faults


def test_variables_are_put_in_once() -> None:
    values = {"a": "{{b}} \\{{", "b": [1, {"k": "ü"}]}
    assert render(r"{{a}}|{{ b }}|\{{a}}", values) == r'{{b}} \{{|[1,{"k":"ü"}]|{{a}}'


def test_a_missing_value_is_refused() -> None:
    with pytest.raises(Invalid, match="variable 'b' has no value"):
        render("{{b}}", {"a": "x"})


@pytest.mark.parametrize(
    "body", ["{{ a}}", "{{a }}", "{{  a  }}", "{{1a}}", "{{a.b}}", "{{", "{{{a}}}", "{{}}", "{{a|b}}"]
)
def test_any_other_braces_are_a_fault(body: str) -> None:
    found = template_faults(body, [])
    assert [problem.what for problem in found] == ["{{ is no variable"]
    with pytest.raises(Invalid):
        render(body, {"a": "x"})


def test_undeclared_and_unused_ones_are_faults() -> None:
    found = template_faults("x\n  {{ a }} {{b}}", ["b", "c"])
    assert [(problem.line, problem.column, problem.what) for problem in found] == [
        (2, 3, "variable 'a' is not declared"),
        (1, 1, "variable 'c' is not used"),
    ]


@given(st.text("ab{}\\ ", max_size=30), st.text(max_size=20))
def test_a_body_without_faults_renders_and_values_stay_as_they_are(body: str, value: str) -> None:
    names = ["a", "b", "ab", "ba", "aa", "bb"]
    faults = [problem for problem in template_faults(body, names) if "not used" not in problem.what]
    if any("not declared" in problem.what for problem in faults):
        return
    if faults:
        with pytest.raises(Invalid):
            render(body, dict.fromkeys(names, value))
    else:
        assert isinstance(render(body, dict.fromkeys(names, value)), str)


def test_the_body_is_kept_byte_for_byte_less_one_newline() -> None:
    halves = split_prompt(b"---\nkind: Prompt\n---\n\n a \n---\nb\n\n")
    assert halves == PromptFile(b"kind: Prompt\n", b"\n a \n---\nb\n", 4)
    assert not isinstance(split_prompt(b"---\nkind: Prompt\n"), PromptFile)
    assert not isinstance(split_prompt(b"kind: Prompt\n---\n"), PromptFile)
