"""Decisions of persons on calls that wait: read, checked against the tool's schema, and written down."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contracts.release import Release
from penstock.errors import Fault, NotFound, WrongUse
from penstock.executor.json_body import BODY, parse_body, refuse_faults, require_fit
from penstock.governance.redaction import redact
from penstock.store.database import Database
from penstock.store.reviews import Review, ReviewStore, Word

FIELDS = ("decision", "comment", "arguments", "callId")
CHOICES = ("approve", "reject")
MAX_COMMENT_CHARACTERS = 4_000
_OUTCOMES: dict[str, Literal["approved", "rejected"]] = {"approve": "approved", "reject": "rejected"}
STATES = ("open", "approved", "rejected", "expired")


@dataclass(frozen=True, slots=True)
class DecisionOrder:
    """What a person decides. `call_id` None = the only call of the run that waits."""

    outcome: Literal["approved", "rejected"]
    comment: str | None = None
    arguments: dict[str, Any] | None = None
    call_id: str | None = None


def read_decision(body: bytes) -> DecisionOrder:
    """The decision in a request's body; raises `WrongUse` for no JSON, `Invalid` with every fault otherwise."""
    return decision_order(parse_body(body, '{"decision": "approve"}'), BODY)


def decision_order(document: Any, where: str) -> DecisionOrder:
    """The decision in a JSON value; raises `Invalid` with every fault."""
    if not isinstance(document, dict):
        faults = [Fault(where, 0, 0, "", "must be an object", 'such as {"decision": "approve"}')]
    else:
        faults = [Fault(where, 0, 0, *told) for told in _faults(document)]
    refuse_faults(faults, where)
    comment = document.get("comment")
    kept = redact({"comment": comment}).value["comment"] if comment is not None else None
    return DecisionOrder(_OUTCOMES[document["decision"]], kept, document.get("arguments"), document.get("callId"))


def decide(
    database: Database,
    release: Callable[[str], Release],
    run_id: str,
    order: DecisionOrder,
    *,
    tenant: str | None,
    user: str | None,
) -> Review:
    """Writes a person's decision down; `release` gives a release by its digest, `tenant` None = of whichever tenant.

    Raises `WrongUse` when nobody says who decides, `Invalid` for arguments that break the tool's schema, and what
    `ReviewStore.find` and `decide` raise.
    """
    where = f"run {run_id}"
    if user is None:
        raise WrongUse("nobody says who decides", where=where, now="send X-Penstock-User, or give --user")
    store = ReviewStore(database)
    found = store.find(run_id, order.call_id, tenant)
    if order.arguments is not None:
        _check_arguments(release(str(found.facts["release"])), found, order.arguments)
    return store.decide(run_id, found.call_id, Word(order.outcome, user, order.comment, order.arguments))


def review_document(review: Review) -> dict[str, Any]:
    """A review as a JSON object."""
    return {
        "runId": review.run_id,
        "callId": review.call_id,
        "state": review.state,
        "agent": review.agent,
        "version": review.facts["version"],
        "tool": review.tool,
        "toolRef": review.facts["toolRef"],
        "arguments": review.arguments,
        "argumentsDigest": review.facts["argumentsDigest"],
        "user": review.facts["user"],
        "since": review.created_at,
        "expiresAt": review.expires_at,
        "onExpiry": review.facts["onExpiry"],
        "decidedAt": review.decided_at,
        "decidedBy": review.decided_by,
        "comment": review.comment,
        "run": f"/v1/runs/{review.run_id}",
    }


def _check_arguments(release: Release, review: Review, arguments: dict[str, Any]) -> None:
    tool = next((one for one in release.tools if one.name == review.tool), None)
    if tool is None:
        raise NotFound("the release has no such tool", where=review.tool, now="decide without arguments of your own")
    require_fit(arguments, tool.spec.input.schema_, f"{tool.ref} input")


def _faults(document: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    for name in sorted(document.keys() - set(FIELDS)):
        near = difflib.get_close_matches(name, FIELDS, 1)
        yield name, "unknown field", f"did you mean {near[0]}?" if near else f"fields are: {', '.join(FIELDS)}"
    if document.get("decision") not in CHOICES:
        yield "decision", "must be approve or reject", ""
    comment = document.get("comment")
    if comment is not None and not (isinstance(comment, str) and 0 < len(comment) <= MAX_COMMENT_CHARACTERS):
        yield "comment", f"must be a text of 1 to {MAX_COMMENT_CHARACTERS} characters", "leave it out or shorten it"
    arguments = document.get("arguments")
    if arguments is not None and not isinstance(arguments, dict):
        yield "arguments", "must be an object", "leave it out for the model's own"
    elif arguments is not None and document.get("decision") == "reject":
        yield "arguments", "a rejected call has none", "leave it out"
    call_id = document.get("callId")
    if call_id is not None and not (isinstance(call_id, str) and 0 < len(call_id) <= 64):
        yield "callId", "must be the id of a call", "GET /v1/reviews lists them"
