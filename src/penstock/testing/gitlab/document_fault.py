"""Where GitLab's document and GitLab differ: each difference once, as narrow as can be, with its reason."""

import re
from dataclasses import dataclass

# Paths that GitLab has and this subset of its document has not: users and emoji.
OUTSIDE = tuple(
    re.compile(pattern)
    for pattern in (
        r"/users(/\d+)?",
        r"/projects/[^/]+/merge_requests/\d+/notes/\d+/award_emoji(/\d+)?",
    )
)


@dataclass(frozen=True)
class DocumentFault:
    """A violation that is none: `operation`, `part` and `what` are those of the violation, `what` as a pattern."""

    operation: str
    part: str
    what: str
    reason: str


FAULTS: tuple[DocumentFault, ...] = ()


def is_known(operation: str, part: str, what: str) -> bool:
    """Whether a violation is a fault of the document."""
    return any(
        fault.operation == operation and fault.part == part and re.fullmatch(fault.what, what) for fault in FAULTS
    )
