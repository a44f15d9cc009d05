"""Money as the ledger keeps it: whole billionths of a USD, so that sums are exact whatever their order."""

from math import ceil

NANO = 1_000_000_000
_NOISE = 1e-4
"""Of a billionth: what floating point adds to an exact amount, 0.001 USD being 1000000.0000000001."""


def nano_of(usd: float) -> int:
    """Billionths of a USD, rounded up: a budget rather holds too little than too much."""
    return ceil(usd * NANO - _NOISE)


def usd_of(nano: int) -> float:
    """USD of so many billionths."""
    return nano / NANO
