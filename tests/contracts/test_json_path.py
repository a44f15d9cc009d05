import pytest

from penstock.contracts.json_path import selected_places, selected_values


@pytest.mark.parametrize("text", ["[", "[1]", '{"a": 1}', "{", "plain"])
def test_a_text_is_one_value_with_nothing_inside(text: str) -> None:
    assert selected_values("$", text) == [text]
    assert selected_values("$.a", text) == []
    assert selected_values("$[*]", text) == []
    assert list(selected_places("$", text)) == [()]
    assert list(selected_places("$[0]", text)) == []


def test_places_and_values_go_together() -> None:
    value = {"a": [{"b": 1}, {"b": "[2]"}]}
    assert selected_values("$.a[*].b", value) == [1, "[2]"]
    assert list(selected_places("$.a[*].b", value)) == [("a", 0, "b"), ("a", 1, "b")]
