"""What a person sees while runs are made: a bar on a terminal, and after Ctrl-C what became of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.cli.output import say
from penstock.scoring.progress import Progress, terminal_progress


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[Progress | None]:
    """Hears how far the runs are; None where nobody watches, or with `quiet`."""
    try:
        with terminal_progress(quiet=quiet) as watch:
            yield watch
    except KeyboardInterrupt:
        say("interrupted: what was run is kept, and the same command goes on from there")
        raise
