"""A plot of cost: one bar a row, as SVG for a file and as blocks for a terminal."""

from collections.abc import Sequence
from html import escape

from penstock.reporting.visible_text import one_line
from penstock.store.cost import CostRow, CostTable
from penstock.store.money import usd_of

BARS = 40
WIDTH, LABEL, FIGURE, ROW, HEAD = 760, 220, 120, 22, 34
CELLS = 30
_EIGHTHS = " ▏▎▍▌▋▊▉"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1d2733}.h{font-weight:600}.n{text-anchor:end}.b{fill:#2b6cb0}"
    ".u{fill:#c05621}"
)


def bar(row: CostRow, rows: Sequence[CostRow], cells: int = CELLS) -> str:
    """The row's share of the dearest one, in eighths of a character; nothing where all cost nothing."""
    most = max((one.nano for one in rows), default=0)
    if most <= 0:
        return ""
    eighths = round(8 * cells * max(0, row.nano) / most)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def cost_svg(table: CostTable, title: str) -> str:
    """The first `BARS` rows as an SVG of its own; rows of which a part has no price are of another colour."""
    shown = table.rows[:BARS]
    most = max([1, *(row.nano for row in shown)])
    room = WIDTH - LABEL - FIGURE
    lines = [f'<text class="h" x="8" y="20">{_words(title, 100)}</text>']
    for number, row in enumerate(shown):
        y = HEAD + ROW * number
        kind = "u" if row.unpriced else "b"
        width = round(room * max(0, row.nano) / most, 1)
        lines.append(f'<text class="n" x="{LABEL - 8}" y="{y + 15}">{_words(row.key, 32)}</text>')
        lines.append(f'<rect class="{kind}" x="{LABEL}" y="{y + 3}" width="{width}" height="{ROW - 6}" rx="2"/>')
        lines.append(f'<text x="{LABEL + width + 6:.1f}" y="{y + 15}">{usd_text(row)}</text>')
    left_out = len(table.rows) - len(shown)
    height = HEAD + ROW * (len(shown) + bool(left_out)) + 8
    if left_out:
        lines.append(f'<text x="{LABEL}" y="{height - 14}">and {left_out} more</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
    said = "; ".join(f"{row.key} {usd_text(row)}" for row in shown) or "no runs"
    label = f' aria-label="{_words(f"{title}: {said}", 2_000)}"'
    return "\n".join([f"{head}{label}><style>{STYLE}</style>", *lines, "</svg>", ""])


def usd_text(row: CostRow) -> str:
    """The row's cost; what is not known makes it "at least"."""
    return f"{'at least ' if row.unpriced else ''}{usd_of(row.nano):.6f} USD"


def _words(text: str, limit: int) -> str:
    return escape(one_line(text, limit))
