"""The shelf of the caches, beside a model of it that keeps lists."""

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.cache.shelf import OWN_BYTES, CacheShelf

TTL_S = 10
ENTRIES = 3
STEPS = st.lists(
    st.tuples(st.sampled_from(["keep", "find", "wait"]), st.sampled_from("abc"), st.integers(0, 5)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_it_gives_what_is_young_and_among_the_newest_of_its_part(steps: list[tuple[str, str, int]]) -> None:
    now = 0.0
    shelf: CacheShelf[str] = CacheShelf(clock=lambda: now)
    told: dict[str, list[tuple[int, float, str]]] = {part: [] for part in "abc"}
    for number, (what, part, key) in enumerate(steps):
        if what == "wait":
            now += key
            continue
        young = [one for one in told[part] if one[1] > now]
        if what == "keep":
            shelf.keep(part, key, f"{part}{number}", size=1, ttl_s=TTL_S, entries=ENTRIES)
            told[part] = [*(one for one in young if one[0] != key), (key, now + TTL_S, f"{part}{number}")][-ENTRIES:]
        else:
            assert shelf.find(part, key) == next((value for at, _, value in young if at == key), None)
            assert list(shelf.values(part)) == [value for _, _, value in reversed(young)]


def test_bytes_are_bounded_over_all_parts_and_the_part_unused_for_longest_loses_first() -> None:
    shelf: CacheShelf[str] = CacheShelf(most_bytes=20 * (OWN_BYTES + 50))
    for part in range(20):
        shelf.keep(part, "k", "v", size=50, ttl_s=TTL_S, entries=ENTRIES)
    assert shelf.find(0, "k") == "v"
    shelf.keep("new", "k", "v", size=50, ttl_s=TTL_S, entries=ENTRIES)
    assert len(shelf) == 20
    assert shelf.find(0, "k") == "v"
    assert shelf.find(1, "k") is None
    shelf.keep("huge", "k", "v", size=20 * (OWN_BYTES + 50) // 16, ttl_s=TTL_S, entries=ENTRIES)
    assert shelf.find("huge", "k") is None
