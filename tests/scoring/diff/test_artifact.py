from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contracts.canonical import canonical
from penstock.contracts.eval_suite import DiffRules
from penstock.errors import Invalid
from penstock.scoring.diff.artifact import LARGEST, artifact_changes

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(["__x", "a.b", "a'b", "[0]", "\x00true", "\x00", "root", "not present", "true", "1"])
)
KEYS = TEXTS | st.sampled_from(["__private", "a.b", "a'b", 'a"b', "x[0]", "", "\\", "a b", "0"])
VALUES = st.recursive(SCALARS, lambda one: st.lists(one, max_size=4) | st.dictionaries(KEYS, one, max_size=4))


def rules(**fields: Any) -> DiffRules:
    return DiffRules.model_validate(fields)


def found(before: Any, after: Any, **fields: Any) -> list[tuple[str, str, Any, Any]]:
    changes = artifact_changes(before, after, rules(**fields))
    return [(change.path, change.kind, change.before, change.after) for change in changes]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 2}, [("$.a", "changed", 1, 2)]),
        ({"a": 1}, {"a": 1.0}, []),
        ([True], [1], [("$[0]", "changed", True, 1)]),
        ({"a": False}, {"a": 0}, [("$.a", "changed", False, 0)]),
        ({"a": 1, "b": 2}, {"b": 2, "c": None}, [("$.a", "removed", 1, None), ("$.c", "added", None, None)]),
        ({"__id": 1}, {"__id": 2}, [("$.__id", "changed", 1, 2)]),
        ([1, 2, 3], [0, 1, 2, 3], [("$[0]", "added", None, 0)]),
        ("one", "two", [("$", "changed", "one", "two")]),
        ({"x": 1}, None, [("$", "changed", {"x": 1}, None)]),
        ([], {}, [("$", "changed", [], {})]),
        ({"it's": {"a.b": 1}}, {"it's": {"a.b": 2}}, [(r"$['it\'s']['a.b']", "changed", 1, 2)]),
        ({"a": "\x00true"}, {"a": True}, [("$.a", "changed", "\x00true", True)]),
    ],
)
def test_what_differs_is_named_by_its_path(before: Any, after: Any, expected: list[Any]) -> None:
    assert found(before, after) == expected


def test_ignored_places_are_not_compared() -> None:
    before = {"id": 1, "items": [{"id": "a", "n": 1}], "at": "now"}
    after = {"id": 2, "items": [{"id": "b", "n": 2}]}
    assert found(before, after, ignore=["$..id", "$.at"]) == [("$.items[0].n", "changed", 1, 2)]
    assert found([1, 2], [3, 2], ignore=["$[0]"]) == []
    assert found({"a": {"deep": 1}}, {"a": [2]}, ignore=["$.a"]) == []


@pytest.mark.parametrize(
    ("before", "after", "tolerance", "equal"),
    [
        (1.0, 1.05, {"absolute": 0.05000001}, True),
        (1.0, 1.06, {"absolute": 0.05}, False),
        (100, 109, {"relative": 0.1}, True),
        (100, 111, {"relative": 0.1}, False),
        (-100, -109, {"relative": 0.1}, True),
        (0, 0.001, {"relative": 1.0}, False),
        (1, "1", {"absolute": 5}, False),
        (1, True, {"absolute": 5}, False),
        (1, None, {"absolute": 5}, False),
    ],
)
def test_tolerances(before: Any, after: Any, tolerance: dict[str, float], equal: bool) -> None:
    rule = {"path": "$.items[*].score", **tolerance}
    one, other = {"items": [{"score": before}]}, {"items": [{"score": after}]}
    assert (found(one, other, tolerances=[rule]) == []) is equal
    assert found({"items": [{"score": 1, "n": 1}]}, {"items": [{"score": 1, "n": 2}]}, tolerances=[rule]) != []


def test_unordered_lists_keep_their_counts() -> None:
    assert found({"tags": ["a", "b", "b"]}, {"tags": ["b", "a", "b"]}, unordered=["$.tags"]) == []
    assert found(["a", "b", "b"], ["a", "a", "b"], unordered=["$"]) != []
    assert found({"tags": ["a", "b"]}, {"tags": ["b", "a"]}) != []
    assert found({"x": [1, 2], "y": [1, 2]}, {"x": [2, 1], "y": [2, 1]}, unordered=["$.x"])[0][0].startswith("$.y")


def test_rules_work_together() -> None:
    before = {"hits": [{"id": 1, "score": 1.0, "text": "a"}, {"id": 2, "score": 2.0, "text": "b"}]}
    after = {"hits": [{"id": 8, "score": 2.01, "text": "b"}, {"id": 9, "score": 1.0, "text": "c"}]}
    declared = {
        "ignore": ["$.hits[*].id"],
        "unordered": ["$.hits"],
        "tolerances": [{"path": "$.hits[*].score", "absolute": 0.05}],
    }
    assert [(path, kind) for path, kind, *_ in found(before, after, **declared)] == [("$.hits[0].text", "changed")]


@pytest.mark.parametrize("path", ["hits", "$.hits[", "$" + ".a" * 300, "$..a..b..c", "$.a[?match(@.b, 'x')]"])
def test_a_rule_that_is_no_json_path_is_refused(path: str) -> None:
    with pytest.raises(Invalid, match="is no JSON path"):
        artifact_changes({"a": 1}, {"a": 2}, rules(ignore=[path]))


def test_long_texts_are_cut_in_documents_and_the_cut_is_said() -> None:
    [change] = artifact_changes({"a": "x" * 9_000}, {"a": 1}, rules())
    assert change.before == "x" * 9_000
    assert change.as_document()["before"].endswith("[5000 characters more]")


def test_the_largest_artifacts_are_compared_as_a_whole() -> None:
    before = {"rows": list(range(LARGEST))}
    assert found(before, {"rows": list(range(LARGEST))}) == []
    [(path, kind, *_)] = found(before, {"rows": list(range(1, LARGEST + 1))})
    assert (path, kind) == ("$", "changed")


@pytest.mark.parametrize("unordered", [[], ["$.rows"]])
def test_large_artifacts_are_compared_place_by_place(unordered: list[str]) -> None:
    before = {"rows": [{"id": n, "text": f"text {n}"} for n in range(4_000)]}
    after = {"rows": [{"id": n, "text": f"text {n if n % 3 else -n}"} for n in reversed(range(4_000))]}
    assert len(found(before, after, unordered=unordered)) >= 2_000


def test_a_deep_artifact_is_compared() -> None:
    before: Any = 1
    after: Any = 2
    for _ in range(90):
        before, after = {"a": [before]}, {"a": [after]}
    [(_, kind, *_)] = found(before, after)
    assert kind == "changed"


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_a_difference_is_found_exactly_where_values_differ(before: Any, after: Any) -> None:
    assert (artifact_changes(before, after, rules()) == []) is (canonical(before) == canonical(after))
    assert artifact_changes(before, before, rules()) == []


@settings(max_examples=80, deadline=None)
@given(VALUES, VALUES)
def test_ignoring_everything_leaves_no_difference(before: Any, after: Any) -> None:
    assert artifact_changes(before, after, rules(ignore=["$"])) == []


@settings(max_examples=80, deadline=None)
@given(st.lists(VALUES, max_size=6).flatmap(lambda one: st.tuples(st.just(one), st.permutations(one))))
def test_an_order_that_means_nothing_is_no_difference(lists: tuple[list[Any], list[Any]]) -> None:
    assert artifact_changes({"x": lists[0]}, {"x": lists[1]}, rules(unordered=["$.x"])) == []


@settings(max_examples=80, deadline=None)
@given(st.lists(VALUES, max_size=5), st.lists(VALUES, max_size=5))
def test_unordered_lists_are_equal_as_multisets_only(one: list[Any], other: list[Any]) -> None:
    same = sorted(map(canonical, one)) == sorted(map(canonical, other))
    assert (artifact_changes(one, other, rules(unordered=["$"])) == []) is same


@settings(max_examples=80, deadline=None)
@given(VALUES, VALUES)
def test_changes_say_what_stood_there(before: Any, after: Any) -> None:
    for change in artifact_changes(before, after, rules()):
        side, told = (after, change.after) if change.kind == "added" else (before, change.before)
        assert _at(side, change.place) == told
        canonical(change.as_document())


def _at(value: Any, place: tuple[str | int, ...]) -> Any:
    for part in place:
        value = value[part]
    return value


@pytest.mark.parametrize("text", ["[", "[1, 2]", '{"a": 1}', "{"])
def test_a_text_that_looks_like_json_is_a_text(text: str) -> None:
    assert [change.path for change in artifact_changes("x", text, rules(ignore=["$.a", "$[0]"]))] == ["$"]
    assert artifact_changes("x", text, rules(ignore=["$"])) == []
