"""What statistics refuse to judge: nothing, what is no number, and what is out of range."""

from collections.abc import Sequence

from penstock.errors import Invalid

LARGEST_ALPHA = 0.5


def refuse_values(values: Sequence[float], *, least: float, most: float, what: str = "value") -> None:
    """Raises `Invalid` for no value at all, and for those that are no number from `least` to `most`."""
    if not values:
        raise Invalid(f"no {what} to judge", now="nothing is neither good nor bad: give at least one")
    wrong = [f"{value} (number {at})" for at, value in enumerate(values, start=1) if not least <= value <= most]
    if wrong:
        raise Invalid(
            f"{what} that is no number from {least:g} to {most:g}: {', '.join(wrong)}", now="correct what measured it"
        )


def refuse_alpha(alpha: float) -> None:
    """Raises `Invalid` unless 0 < alpha < 0.5: the share of wrong verdicts that is borne."""
    if not 0 < alpha < LARGEST_ALPHA:
        raise Invalid(f"alpha {alpha} is not between 0 and {LARGEST_ALPHA}", now="0.05 is usual")


def refuse_margin(margin: float) -> None:
    """Raises `Invalid` unless 0 < margin <= 1: the loss that passes, as a share of the whole range."""
    if not 0 < margin <= 1:
        raise Invalid(f"margin {margin} is not above 0 and at most 1", now="0.05 is a loss of one case in twenty")


def refuse_counts(*counts: int) -> None:
    """Raises `Invalid` for a count below zero."""
    if any(count < 0 for count in counts):
        raise Invalid(f"counts below zero: {counts}", now="correct what counted them")
