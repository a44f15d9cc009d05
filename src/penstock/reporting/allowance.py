"""How many bytes a part of the page may take: a report stays readable and small, whatever was found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fitted:
    """The pieces of HTML that fitted, of how many; `brief` of them are a short form."""

    pieces: tuple[str, ...]
    of: int
    brief: int = 0

    @property
    def left_out(self) -> int:
        """How many are not on the page: report.json has them."""
        return self.of - len(self.pieces)


@dataclass(slots=True)
class Allowance:
    """The bytes that are left for one kind of piece, all gates of the page together."""

    left: int

    def fit(
        self,
        items: Sequence[Any],
        whole: Callable[[Any], str],
        short: Callable[[Any], str] | None = None,
        *,
        for_short: int = 0,
    ) -> Fitted:
        """Renders items in their order until the bytes are gone; one that is too large is tried in its short form.

        `for_short` bytes are kept for short forms, so that the last items are named at least.
        """
        pieces: list[str] = []
        brief = 0
        for item in items:
            piece = whole(item)
            if not self._take(piece, keep=for_short):
                if short is None:
                    break
                piece = short(item)
                if not self._take(piece, keep=0):
                    break
                brief += 1
            pieces.append(piece)
        return Fitted(tuple(pieces), len(items), brief)

    def _take(self, piece: str, *, keep: int) -> bool:
        size = len(piece.encode())
        if size > self.left - keep:
            return False
        self.left -= size
        return True


def numbered(items: Iterable[Any]) -> list[tuple[int, Any]]:
    """Items with their number from 1: anchors are numbers, never anything that a model or a dataset says."""
    return list(enumerate(items, 1))
