"""An order of units that means nothing: by digest of their names."""

from hashlib import sha256


def unit_order(unit: str, cluster: str | None = None) -> tuple[bytes, bytes]:
    """Key to sort units by. It is the same everywhere, and depends neither on files nor on what was measured.

    Betting takes units one after the other, so their order may say nothing about their values: that of a file (easy
    ones first) or of finishing (quick failures first) may. Cases of a cluster stand together, so that it is closed as
    soon as it was seen. Who may stop early runs units in this order.
    """
    return _digest(unit if cluster is None else cluster), _digest(unit)


def _digest(name: str) -> bytes:
    return sha256(name.encode("utf-8", "surrogatepass")).digest()
