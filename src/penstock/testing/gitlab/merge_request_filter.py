"""Which merge requests a list shows, and in which order."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from penstock.testing.gitlab.ask import Ask
from penstock.testing.gitlab.state import MergeRequest

FILTERS = (
    "state source_branch target_branch author_id author_username labels not[labels] iids search wip draft scope "
    "created_after created_before updated_after updated_before order_by sort"
)
_STATES = ("opened", "closed", "locked", "merged", "all")
_ORDERS = ("created_at", "updated_at", "merged_at", "title")
_NEVER = datetime.min.replace(tzinfo=UTC)


def chosen(ask: Ask) -> list[MergeRequest]:
    """The merge requests of a list's filters, sorted; raises `Refusal` (400) for a value that GitLab does not know."""
    found = list(ask.state.merge_requests.values())
    found = [made for made in found if all(_parts(ask, made)) and all(_instants(ask, made))]
    order, sort = ask.choice("order_by", _ORDERS, "created_at"), ask.choice("sort", ("asc", "desc"), "desc")
    keys: dict[str, Callable[[MergeRequest], Any]] = {
        "created_at": lambda made: made.created_at,
        "updated_at": lambda made: made.updated_at,
        "merged_at": lambda made: made.merged_at or _NEVER,
        "title": lambda made: made.title,
    }
    key = keys[order]
    return sorted(found, key=lambda made: (key(made), made.id), reverse=sort == "desc")


def _parts(ask: Ask, made: MergeRequest) -> Iterable[bool]:
    state = ask.choice("state", _STATES, "all")
    yield state in {"all", made.state}
    for name, value in (("source_branch", made.source_branch), ("target_branch", made.target_branch)):
        yield ask.text(name, value) == value
    yield ask.text("author_username", made.author.username) == made.author.username
    yield ask.number("author_id", made.author.id) == made.author.id
    yield _has_labels(made, ask.words("labels"))
    yield not any(name in made.labels for name in ask.words("not[labels]"))
    iids = ask.words("iids")
    yield not iids or str(made.iid) in iids
    search = ask.text("search").lower()
    yield search in made.title.lower() or search in made.description.lower()
    drafts = ask.text("wip") or {"true": "yes", "false": "no"}.get(ask.text("draft").lower(), "")
    yield not drafts or (drafts == "yes") == made.draft
    yield _in_scope(ask, made)


def _has_labels(made: MergeRequest, names: list[str]) -> bool:
    if names == ["None"]:
        return not made.labels
    if names == ["Any"]:
        return bool(made.labels)
    return all(name in made.labels for name in names)


def _in_scope(ask: Ask, made: MergeRequest) -> bool:
    scope = ask.choice("scope", ("created_by_me", "assigned_to_me", "reviews_for_me", "all"), "all")
    if scope == "all" or ask.token is None:
        return True
    users = {"created_by_me": [made.author], "assigned_to_me": made.assignees, "reviews_for_me": made.reviewers}
    return ask.user in users[scope]


def _instants(ask: Ask, made: MergeRequest) -> Iterable[bool]:
    for name, at in (("created", made.created_at), ("updated", made.updated_at)):
        after, before = ask.time(f"{name}_after"), ask.time(f"{name}_before")
        yield after is None or at >= after
        yield before is None or at <= before
