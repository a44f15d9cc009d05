"""The difference of two runs' sequences, for people (`penstock.engine.sequence` makes the sequences)."""

from difflib import unified_diff

from penstock.engine.sequence import Step


def sequence_difference(before: list[Step], after: list[Step], names: tuple[str, str]) -> list[str]:
    """A unified diff of two sequences, by type and name; empty when they are equal."""
    old, new = ([str(step) for step in steps] for steps in (before, after))
    return list(unified_diff(old, new, *names, lineterm="", n=2))
