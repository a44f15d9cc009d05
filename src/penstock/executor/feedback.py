"""A user's word on a run: read, redacted, and stored with the run."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.errors import Conflict, Fault
from penstock.executor.json_body import BODY, parse_body, refuse_faults
from penstock.governance.redaction import redact
from penstock.store.database import Database
from penstock.store.feedback import Feedback, FeedbackStore
from penstock.store.runs import FINAL

FIELDS = ("rating", "comment", "corrected")
WORDS: Mapping[str, float] = {"up": 1.0, "down": -1.0}
MAX_COMMENT_CHARACTERS = 4_000
MAX_CORRECTED_BYTES = 64 << 10
"""Redaction reads every character: a longer text would hold up the process that answers runs."""


@dataclass(frozen=True, slots=True)
class FeedbackOrder:
    """What a caller says: `rating` from -1 to 1, and `texts` with comment and corrected as far as they were given."""

    rating: float
    texts: Mapping[str, Any]


def read_feedback(body: bytes) -> FeedbackOrder:
    """The word in a request's body; raises `WrongUse` when it is no JSON, `Invalid` with every fault otherwise."""
    return feedback_order(parse_body(body, '{"rating": "up"}'), BODY)


def feedback_order(document: Any, where: str) -> FeedbackOrder:
    """The word in a JSON value; raises `Invalid` with every fault."""
    if not isinstance(document, dict):
        faults = [Fault(where, 0, 0, "", "must be an object", 'such as {"rating": "up"}')]
    else:
        faults = [Fault(where, 0, 0, *told) for told in _faults(document)]
    refuse_faults(faults, where)
    given = document["rating"]
    texts = {name: document[name] for name in ("comment", "corrected") if document.get(name) is not None}
    return FeedbackOrder(WORDS[given] if isinstance(given, str) else float(given), texts)


def keep_feedback(database: Database, run: Mapping[str, Any], order: FeedbackOrder, user: str | None) -> dict[str, Any]:
    """Stores a user's word on a run, redacted; what the same user said before gives way to it.

    `run` is the run's own document. Raises `Conflict` for a run that goes on, that was not live, or whose payloads
    were deleted; `NotRedacted` when a text cannot be redacted, and `Unavailable` without the database.
    """
    where = f"run {run['runId']}"
    if run["status"] not in FINAL:
        raise Conflict("the run has not ended yet", where=where, now="say what you think of it once it has")
    if run["mode"] != "live":
        raise Conflict(f"the run is a {run['mode']} run, which no user has seen", where=where, now="rate a live run")
    redacted = redact(dict(order.texts))
    word = Feedback(
        run_id=run["runId"],
        agent=run["agent"],
        release=run["release"],
        stage=run["stage"],
        rating=order.rating,
        user=user,
        texts=redacted.value,
    )
    replaced = FeedbackStore(database).put(word)
    return {"runId": word.run_id, "feedback": word.as_document(), "replaced": replaced, "redacted": redacted.kinds}


def _faults(document: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    for name in sorted(document.keys() - set(FIELDS)):
        near = difflib.get_close_matches(name, FIELDS, 1)
        yield name, "unknown field", f"did you mean {near[0]}?" if near else f"fields are: {', '.join(FIELDS)}"
    rating = document.get("rating")
    if "rating" not in document:
        yield "rating", "is missing", "up, down, or a number from -1 to 1"
    elif not _is_rating(rating):
        yield "rating", "must be up, down, or a number from -1 to 1", ""
    comment = document.get("comment")
    if comment is not None and not (isinstance(comment, str) and 0 < len(comment) <= MAX_COMMENT_CHARACTERS):
        yield "comment", f"must be a text of 1 to {MAX_COMMENT_CHARACTERS} characters", "leave it out or shorten it"
    size = len(orjson.dumps(document.get("corrected")))
    if size > MAX_CORRECTED_BYTES:
        yield "corrected", f"is {size} bytes of JSON, over {MAX_CORRECTED_BYTES}", "send what matters of it"


def _is_rating(value: Any) -> bool:
    if isinstance(value, str):
        return value in WORDS
    return isinstance(value, int | float) and not isinstance(value, bool) and -1 <= value <= 1
