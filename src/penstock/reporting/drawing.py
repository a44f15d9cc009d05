"""The templates of the page, and what each kind of piece may take of it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import Unavailable
from penstock.reporting import figures
from penstock.reporting.allowance import Allowance
from penstock.reporting.visible_text import as_json, cut, one_line, visible

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
EXTRA = "pip install 'penstock[evals]'"
MARKS: Mapping[str, str] = {
    "passed": "✓",
    "failed": "✕",
    "inconclusive": "?",
    "errored": "!",
    "missing": "–",
    "skipped": "–",
    "informs": "·",
}


PAGE_BYTES = 900_000
"""What all pieces may take together: with style, script and the fixed parts a page of any facts stays below 1 MB."""
ROWS, ARTIFACTS, LISTS = 400_000, 70_000, 80_000


@dataclass(frozen=True, slots=True)
class Drawing:
    """One page being made: its templates, and the bytes that each kind of piece may still take."""

    environment: "Environment"
    rows: Allowance
    flips: Allowance
    pairs: Allowance
    artifacts: Allowance
    lists: Allowance
    for_short: int = 50_000

    def render(self, name: str, **known: Any) -> str:
        """A piece of HTML: everything that is `known` stands in it escaped."""
        return self.environment.get_template(name).render(**known)


def can_draw() -> bool:
    """Whether the template engine is installed: without it a report has no report.html."""
    return find_spec("jinja2") is not None


def new_drawing(cases: int) -> Drawing:
    """A drawing for a report of so many cases: what their table does not need goes to the cases side by side.

    Raises `Unavailable` without the template engine.
    """
    if not can_draw():
        raise Unavailable("report.html needs the template engine jinja2", now=EXTRA)
    rows = min(ROWS, 20_000 + 700 * cases)
    rest = PAGE_BYTES - rows - ARTIFACTS - LISTS
    flips = rest * 6 // 10
    return Drawing(
        _environment(),
        rows=Allowance(rows),
        flips=Allowance(flips),
        pairs=Allowance(rest - flips),
        artifacts=Allowance(ARTIFACTS),
        lists=Allowance(LISTS),
    )


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        """What every expression of a template passes: texts become visible, and are then escaped."""
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    numbers = ("number", "signed", "percent", "usd", "milliseconds", "ratio", "count", "short_value", "pairs")
    environment.filters.update({name: getattr(figures, name) for name in numbers})
    environment.filters.update(line=one_line, block=_block)
    environment.globals.update(marks=MARKS, interval=figures.interval, figures=figures)
    return environment


def _block(value: Any, limit: int) -> str:
    """A value as text of several lines, cut at `limit`."""
    return cut(value if isinstance(value, str) else as_json(value, indented=True), limit)
