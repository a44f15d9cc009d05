"""What the requests of the canary scene were answered with, and by which version."""

import csv
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.demo.traffic import Answer

SHOWN = 8
COLUMNS = ("user", "version", "stage", "milliseconds", "testCases", "requirement")


def write_answers(answers: Sequence[Answer], path: Path) -> None:
    """Writes one CSV row a request, in the order of its users."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for one in by_user(answers):
            text = one.input["requirement"]
            rows.writerow([one.user, one.version, one.stage, round(one.milliseconds), case_count(one), text])


def answer_lines(answers: Sequence[Answer]) -> Iterator[str]:
    """The first answers in a sentence each, then each version's share and its mean number of test cases."""
    for one in by_user(answers)[:SHOWN]:
        text = textwrap.shorten(one.input["requirement"], 60, placeholder=" …")
        yield f"{one.user} <- {one.version} ({one.stage}): {case_count(one)} test cases for “{text}”"
    for version in sorted({one.version for one in answers}):
        counts = [case_count(one) for one in answers if one.version == version]
        share, mean = len(counts) / len(answers), sum(counts) / len(counts)
        yield f"{version} answered {len(counts)} ({share:.0%}), with {mean:.1f} test cases each on average"


def by_user(answers: Sequence[Answer]) -> list[Answer]:
    """The answers in the order of their users."""
    return sorted(answers, key=lambda one: one.user)


def case_count(answer: Answer) -> int:
    """How many test cases an answer holds."""
    return len(answer.output["testCases"])
