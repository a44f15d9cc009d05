"""Progress of an evaluation: a bar on a terminal, nothing anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress(Protocol):
    """Hears how far an evaluation came. Called on the event loop, so it must not wait."""

    def advanced(self, done: int, total: int, cost_usd: float, problems: int) -> None:
        """`done` of `total` runs are over, on all sides so far, for `cost_usd`; `problems` of them gave no evidence."""
        ...

    def note(self, text: str) -> None:
        """One line on what happens besides: what was reused, what is scored, why it stops."""
        ...


class TerminalProgress:
    """A bar on a terminal; the notes are printed above it."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._task = bar.add_task("runs", total=None, cost="", problems="")

    def advanced(self, done: int, total: int, cost_usd: float, problems: int) -> None:
        """Moves the bar."""
        told = f"[red]{problems} without evidence" if problems else ""
        self._bar.update(self._task, completed=done, total=total, cost=f"{cost_usd:.4f} USD", problems=told)

    def note(self, text: str) -> None:
        """Prints a line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)


@contextmanager
def terminal_progress(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Progress | None]:
    """A bar on stderr while the block runs; None with `quiet` (CI, --json) and where stderr is no terminal."""
    stream = stream or sys.stderr
    if quiet or not stream.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[cost]}"),
        TextColumn("{task.fields[problems]}"),
    )
    with Bar(*columns, console=Console(file=stream), transient=True) as bar:
        yield TerminalProgress(bar)
