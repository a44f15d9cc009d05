import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from penstock.contracts.canonical import canonical, digest, digest_bytes

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=25,
)


@given(JSON)
def test_canonical_json_is_that_of_rfc_8785(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(st.dictionaries(st.text('aé\ue000\uffff\U00010000\U0010ffff"\\\x1f', max_size=3), st.integers(0, 9)))
def test_keys_are_ordered_by_utf_16(value: dict[str, int]) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), float("inf"), {"a": [2**60]}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        canonical(value)


def test_a_digest_is_of_the_canonical_bytes() -> None:
    assert digest({"b": 1.0, "a": "ü"}) == digest({"a": "ü", "b": 1})
    assert digest({"b": 1}) == digest_bytes(b'{"b":1}')


def test_what_is_nested_too_deeply_is_no_value() -> None:
    for deep in (orjson.loads(b"[" * 950 + b"]" * 950), orjson.loads(b'{"a":' * 950 + b"1.5" + b"}" * 950)):
        with pytest.raises(ValueError, match=r"nested too deeply"):
            canonical(deep)
    for open_, close in ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")):
        levels = 250 // (open_.count(b"{") + open_.count(b"["))
        canonical(orjson.loads(open_ * levels + b"1" + close * levels))
        with pytest.raises(ValueError, match=r"nested too deeply"):
            canonical(orjson.loads(open_ * (levels + 1) + b"1" + close * (levels + 1)))
