"""What a plan says differs between two releases."""

from penstock.contracts.release import Release
from penstock.release.plan import resolved_diff
from penstock.testing.executor_world import make_release


def test_equal_numbers_written_differently_are_no_difference() -> None:
    before, after = _priced("1.0.0", 0), _priced("1.1.0", 0.0)
    found = resolved_diff(before, after)
    assert "root['agent']['document']['metadata']['version']" in found["values_changed"]
    assert "type_changes" not in found


def test_another_number_is_a_difference() -> None:
    found = resolved_diff(_priced("1.0.0", 1), _priced("1.1.0", 2.5))
    place = "root['models'][0]['document']['spec']['price']['inputUsdPer1M']"
    assert found["values_changed"][place] == {"new_value": 2.5, "old_value": 1}


def _priced(version: str, price: float) -> Release:
    made, _ = make_release("echo", version)
    document = made.as_document()
    document["models"][0]["document"]["spec"]["price"]["inputUsdPer1M"] = price
    return Release.model_validate(document)
