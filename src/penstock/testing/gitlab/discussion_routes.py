"""Routes of threads: start, reply, resolve."""

from penstock.testing.gitlab.ask import Answer, Ask, Refusal, forbidden
from penstock.testing.gitlab.entities import discussion, note
from penstock.testing.gitlab.note_routes import own_note
from penstock.testing.gitlab.paging import page
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import DEVELOPER, READ, GitlabState, MergeRequest, Note, User
from penstock.testing.gitlab.thread import (
    blocking,
    checked_body,
    find_note,
    find_thread,
    new_note,
    position_of,
    remove_note,
    start_thread,
    system_note,
)
from penstock.testing.gitlab.webhook import announce_note

_ALL = "/projects/:id/merge_requests/:noteable_id/discussions"
_ONE = f"{_ALL}/:discussion_id"
_NOTE = f"{_ONE}/notes/:note_id"


@route("GET", _ALL, level=READ)
def list_discussions(ask: Ask) -> Answer:
    """All threads, the oldest first; single comments and GitLab's own notes are among them."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    return page(ask, made.discussions, lambda one: discussion(ask.state, made, one))


@route("POST", _ALL, level=READ, takes="body position")
def create_discussion(ask: Ask) -> Answer:
    """A thread that can be resolved; with `position` it stands at a line of the diff."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    written = _resolvable(new_note(ask.state, ask.user, checked_body(ask)))
    written.position = position_of(ask)
    written.type = "DiffNote" if written.position else "DiscussionNote"
    thread = start_thread(ask.state, made, written, individual=False)
    announce_note(ask.state, made, written, ask.user, "create")
    return body_of(discussion(ask.state, made, thread), 201)


@route("GET", _ONE, level=READ)
def get_discussion(ask: Ask) -> Answer:
    """One thread."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    return body_of(discussion(ask.state, made, find_thread(made, ask.parts["discussion_id"])))


@route("PUT", _ONE, level=READ, takes="resolved")
def resolve_discussion(ask: Ask) -> Answer:
    """Resolves a thread or opens it again."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    thread = find_thread(made, ask.parts["discussion_id"])
    ask.required("resolved")
    _resolve(ask, made, [one for one in thread.notes if one.resolvable])
    return body_of(discussion(ask.state, made, thread))


@route("POST", f"{_ONE}/notes", level=READ, takes="body")
def reply(ask: Ask) -> Answer:
    """A further note of a thread; a reply makes a thread of a single comment."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    thread = find_thread(made, ask.parts["discussion_id"])
    written = _resolvable(new_note(ask.state, ask.user, checked_body(ask)))
    written.type = thread.notes[0].type or "DiscussionNote"
    if thread.individual:
        thread.individual = False
        _resolvable(thread.notes[0]).type = "DiscussionNote"
    thread.notes.append(written)
    made.updated_at = ask.state.now()
    announce_note(ask.state, made, written, ask.user, "create")
    return body_of(note(ask.state, made, written), 201)


@route("GET", _NOTE, level=READ)
def get_discussion_note(ask: Ask) -> Answer:
    """One note of a thread."""
    made = ask.state.merge_request(ask.part("noteable_id"))
    return body_of(note(ask.state, made, find_note(made, ask.part("note_id"))[1]))


@route("PUT", _NOTE, level=READ, takes="body resolved")
def update_discussion_note(ask: Ask) -> Answer:
    """Another text for a note, or its own resolving: exactly one of the two."""
    if ("body" in ask.parameters) == ("resolved" in ask.parameters):
        raise Refusal(400, {"error": "body, resolved are mutually exclusive"})
    made = ask.state.merge_request(ask.part("noteable_id"))
    if "resolved" in ask.parameters:
        _, written = find_note(made, ask.part("note_id"))
        _resolve(ask, made, [written] if written.resolvable else [])
        return body_of(note(ask.state, made, written))
    made, written = own_note(ask)
    written.body, written.updated_at = checked_body(ask), ask.state.now()
    announce_note(ask.state, made, written, ask.user, "update")
    return body_of(note(ask.state, made, written))


@route("DELETE", _NOTE, level=READ)
def delete_discussion_note(ask: Ask) -> Answer:
    """Takes a note of a thread away, with the last one the thread."""
    made, written = own_note(ask)
    remove_note(made, find_note(made, written.id)[0], written)
    return Answer(204)


def _resolvable(written: Note) -> Note:
    written.resolvable = True
    return written


def _resolve(ask: Ask, made: MergeRequest, notes: list[Note]) -> None:
    if not notes or not _may_resolve(ask.state, made, ask.user):
        raise forbidden()
    wanted, were_blocking = ask.flag("resolved"), bool(blocking(made))
    for written in notes:
        written.resolved_by = ask.user if wanted else None
        written.resolved_at = ask.state.now() if wanted else None
    made.updated_at = ask.state.now()
    if were_blocking and not blocking(made):
        system_note(ask.state, made, ask.user, "resolved all threads")


def _may_resolve(state: GitlabState, made: MergeRequest, user: User) -> bool:
    return user is made.author or state.level_of(user) >= DEVELOPER
