import io
import sys

import pytest

from penstock.scoring.progress import terminal_progress


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_runs_cost_and_problems() -> None:
    stream = Terminal()
    with terminal_progress(stream=stream) as progress:
        assert progress is not None
        progress.advanced(0, 40, 0.0, 0)
        progress.note("3 trials of the last day are reused [not a tag]")
        progress.advanced(12, 40, 1.5, 2)
    shown = stream.getvalue()
    for words in ("12/40", "1.5000 USD", "2 without evidence", "reused [not a tag]"):
        assert words in shown


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO(), False), (Terminal(), True)])
def test_anywhere_else_nothing_is_shown(stream: io.StringIO, quiet: bool) -> None:
    with terminal_progress(quiet=quiet, stream=stream) as progress:
        assert progress is None
    assert stream.getvalue() == ""


def test_it_is_stderr_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with terminal_progress() as progress:
        assert progress is not None
        progress.advanced(1, 1, 0.0, 0)
    assert "1/1" in stream.getvalue()
