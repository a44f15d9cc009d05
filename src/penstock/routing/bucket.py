"""Bucket: the place of a text on a fixed scale, the same in every program and at every time."""

import mmh3


def bucket(text: str, total: int) -> int:
    """`(murmur3_x86_32(utf8(text), seed 0) * total) >> 32`: from 0 to total - 1, evenly spread."""
    return (mmh3.hash(text, 0, signed=False) * total) >> 32
