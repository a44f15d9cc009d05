import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.reporting.visible_text import as_json, cut, encodable, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a⟦U+202E⟧b"),
        ("\u2066\u2069\u200f\u061c", "⟦U+2066⟧⟦U+2069⟧⟦U+200F⟧⟦U+061C⟧"),
        ("\x00\x1b[0m\x7f\x85", "⟦U+0000⟧⟦U+001B⟧[0m⟦U+007F⟧⟦U+0085⟧"),
        ("\ud800", "⟦U+D800⟧"),
        ("\U000e0041\ufeff\u200b\u2060", "⟦U+E0041⟧⟦U+FEFF⟧⟦U+200B⟧⟦U+2060⟧"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("one\r\ntwo\rthree", "one\ntwo⟦U+000D⟧three"),
        ("👩\u200d🔬 नमस्\u200dते", "👩\u200d🔬 नमस्\u200dते"),
    ],
)
def test_what_cannot_be_seen_is_named(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_stacked_marks_are_cut_to_four() -> None:
    assert visible("a" + "\u0301" * 500 + "b") == "a" + "\u0301" * 4 + "b"
    assert visible("e\u0301te\u0301") == "e\u0301te\u0301"


@given(st.text(st.characters()))
def test_every_text_becomes_one_that_xml_and_utf8_hold(text: str) -> None:
    shown = visible(text)
    element = ElementTree.Element("a", b=shown)
    element.text = shown
    assert ElementTree.fromstring(ElementTree.tostring(element)).text == (shown or None)
    assert visible(shown) == shown


@given(st.text(st.characters(), max_size=200), st.integers(1, 100))
def test_a_line_is_one_line_and_bounded(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line.splitlines()) <= 1
    assert len(line) <= 10 * limit + 40


def test_a_cut_says_how_much_is_missing() -> None:
    assert cut("x" * 1_500, 300) == "x" * 300 + "… [1,200 characters more]"
    assert one_line("x" * 1_500, 300) == "x" * 300 + "… [1,200 characters more]"
    assert cut("x" * 300, 300) == "x" * 300


def test_values_are_shown_as_json() -> None:
    assert as_json({"b": [1, None, True], "a": "ü"}) == '{"b":[1,null,true],"a":"ü"}'
    assert as_json(2**70) == str(2**70)
    assert one_line({"a": "x\ny"}, 100) == '{"a":"x\\ny"}'


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(st.characters()), lambda v: st.lists(v), max_leaves=9
    )
)
def test_every_value_can_be_encoded(value: object) -> None:
    assert as_json(encodable({"key\ud800": value})).encode()
