from xml.etree import ElementTree

from penstock.reporting.cost_plot import BARS, CELLS, bar, cost_svg
from penstock.store.cost import CostRow, CostTable

ROWS = tuple(CostRow(f"agent-{number}", 1, int(number == 1), nano=nano) for number, nano in enumerate((800, 400, 1, 0)))


def test_bars_are_shares_of_the_dearest() -> None:
    assert [len(bar(row, ROWS)) for row in ROWS] == [CELLS, CELLS // 2, 0, 0]
    assert bar(CostRow("free"), [CostRow("free")]) == ""


def test_the_drawing_is_svg_that_says_everything_in_words_and_runs_nothing_of_a_key() -> None:
    rows = (*ROWS, CostRow("<script>&\x1b[31m", nano=5))
    root = ElementTree.fromstring(cost_svg(CostTable("agent", rows, sum(rows, CostRow("total"))), "Cost & more"))
    said = root.attrib["aria-label"]
    assert "agent-0 0.000001 USD" in said
    assert "agent-1 at least 0.000000 USD" in said
    assert "\x1b" not in said
    kinds = [rect.attrib["class"] for rect in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert kinds == ["b", "u", "b", "b", "b"]
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_what_is_left_out_is_said() -> None:
    rows = tuple(CostRow(f"run-{number}", nano=number) for number in range(BARS + 2))
    assert "and 2 more" in cost_svg(CostTable("run", rows, CostRow("total")), "Cost")
