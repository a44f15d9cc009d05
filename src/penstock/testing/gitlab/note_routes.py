"""Routes of notes and of the emoji under them."""

import re

from penstock.testing.gitlab.ask import Answer, Ask, forbidden, not_found
from penstock.testing.gitlab.entities import award, note
from penstock.testing.gitlab.paging import page
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import MAINTAINER, READ, Award, MergeRequest, Note
from penstock.testing.gitlab.thread import checked_body, find_note, new_note, remove_note, start_thread
from penstock.testing.gitlab.webhook import announce_note

_NOTES = "/projects/:id/merge_requests/:noteable_id/notes"
_AWARDS = f"{_NOTES}/:note_id/award_emoji"
_EMOJI = re.compile(r"[a-z0-9_+-]{1,64}")


@route("GET", _NOTES, level=READ, takes="order_by sort activity_filter")
def list_notes(ask: Ask) -> Answer:
    """All notes, the newest first by default, those that GitLab itself wrote included."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    order, sort = ask.choice("order_by", ("created_at", "updated_at"), "created_at"), ask.text("sort", "desc")
    shown = ask.choice("activity_filter", ("all_notes", "only_comments", "only_activity"), "all_notes")
    wanted = [one for one in made.notes if shown == "all_notes" or one.system == (shown == "only_activity")]
    wanted.sort(
        key=lambda one: (one.updated_at if order == "updated_at" else one.created_at, one.id), reverse=sort == "desc"
    )
    return page(ask, wanted, lambda one: note(ask.state, made, one))


@route("POST", _NOTES, level=READ, takes="body internal confidential")
def create_note(ask: Ask) -> Answer:
    """A comment of its own, in no thread."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    written = new_note(ask.state, ask.user, checked_body(ask))
    written.internal = ask.flag("internal") or ask.flag("confidential")
    start_thread(ask.state, made, written, individual=True)
    announce_note(ask.state, made, written, ask.user, "create")
    return body_of(note(ask.state, made, written), 201)


@route("GET", f"{_NOTES}/:note_id", level=READ)
def get_note(ask: Ask) -> Answer:
    """One note."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    return body_of(note(ask.state, made, find_note(made, ask.part("note_id"))[1]))


@route("PUT", f"{_NOTES}/:note_id", level=READ, takes="body")
def update_note(ask: Ask) -> Answer:
    """Another text for a note."""
    made, written = own_note(ask)
    written.body, written.updated_at = checked_body(ask), ask.state.now()
    announce_note(ask.state, made, written, ask.user, "update")
    return body_of(note(ask.state, made, written))


@route("DELETE", f"{_NOTES}/:note_id", level=READ)
def delete_note(ask: Ask) -> Answer:
    """Takes a note away."""
    made, written = own_note(ask)
    remove_note(made, find_note(made, written.id)[0], written)
    return Answer(204)


@route("GET", _AWARDS, level=READ)
def list_awards(ask: Ask) -> Answer:
    """The emoji under a note."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    _, written = find_note(made, ask.part("note_id"))
    return page(ask, written.awards, lambda one: award(ask.state, one, written))


@route("POST", _AWARDS, level=READ, takes="name")
def create_award(ask: Ask) -> Answer:
    """An emoji; 404, as GitLab words it, where the user gave that one already or nobody knows it."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    _, written = find_note(made, ask.part("note_id"))
    name = str(ask.required("name"))
    if any(one.name == name and one.user is ask.user for one in written.awards):
        raise not_found("Award Emoji Name has already been taken")
    if not _EMOJI.fullmatch(name):
        raise not_found("Award Emoji Name is not a valid emoji name")
    given = Award(ask.state.next_id(), name, ask.user, ask.state.now())
    written.awards.append(given)
    return body_of(award(ask.state, given, written), 201)


@route("DELETE", f"{_AWARDS}/:award_id", level=READ)
def delete_award(ask: Ask) -> Answer:
    """Takes the own emoji back."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    _, written = find_note(made, ask.part("note_id"))
    for one in written.awards:
        if one.id == ask.part("award_id"):
            if one.user is not ask.user:
                raise forbidden()
            written.awards.remove(one)
            return Answer(204)
    raise not_found()


def own_note(ask: Ask) -> tuple[MergeRequest, Note]:
    """A note that its author or a maintainer may change; raises `Refusal` (403) for others."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    _, written = find_note(made, ask.part("note_id"))
    if written.system or (ask.user is not written.author and ask.state.level_of(ask.user) < MAINTAINER):
        raise forbidden()
    return made, written
