"""Notes and threads of a merge request: how they are made and found."""

import hashlib

from penstock.testing.gitlab.ask import Ask, Json, Refusal, not_found, refuse
from penstock.testing.gitlab.state import Discussion, GitlabState, MergeRequest, Note, User

NOTE_LIMIT = 1_000_000


def new_note(state: GitlabState, author: User, body: str, *, system: bool = False) -> Note:
    """A note that stands nowhere yet."""
    now = state.now()
    return Note(state.next_id(), body, author, now, now, system)


def start_thread(state: GitlabState, merge_request: MergeRequest, note: Note, *, individual: bool) -> Discussion:
    """A thread that begins with this note."""
    name = hashlib.sha1(f"thread {note.id}".encode(), usedforsecurity=False).hexdigest()
    thread = Discussion(name, individual, [note])
    merge_request.discussions.append(thread)
    if not note.system:
        merge_request.updated_at = state.now()
    return thread


def system_note(state: GitlabState, merge_request: MergeRequest, user: User, body: str) -> None:
    """A note that tells what happened; no webhook is told of it."""
    start_thread(state, merge_request, new_note(state, user, body, system=True), individual=True)


def checked_body(ask: Ask) -> str:
    """The text of a note to be written; raises `Refusal` (400) for an empty one or one that is too long."""
    body = str(ask.required("body"))
    if not body.strip():
        raise refuse(400, '400 Bad request - Note {:note=>["can\'t be blank"]}')
    if len(body) > NOTE_LIMIT:
        raise refuse(400, f'400 Bad request - Note {{:note=>["is too long (maximum is {NOTE_LIMIT} characters)"]}}')
    return body


def find_note(merge_request: MergeRequest, note_id: int) -> tuple[Discussion, Note]:
    """A note and its thread; raises `Refusal` (404)."""
    for thread in merge_request.discussions:
        for note in thread.notes:
            if note.id == note_id:
                return thread, note
    raise not_found()


def find_thread(merge_request: MergeRequest, thread_id: str) -> Discussion:
    """A thread; raises `Refusal` (404)."""
    for thread in merge_request.discussions:
        if thread.id == thread_id:
            return thread
    raise not_found("Discussion")


def remove_note(merge_request: MergeRequest, thread: Discussion, note: Note) -> None:
    """Takes a note away, and its thread with the last one."""
    thread.notes.remove(note)
    if not thread.notes:
        merge_request.discussions.remove(thread)


def blocking(merge_request: MergeRequest) -> list[Discussion]:
    """The threads that are to be resolved and are not."""
    return [thread for thread in merge_request.discussions if thread.resolvable and not thread.resolved]


def position_of(ask: Ask) -> Json | None:
    """The place in the diff that a thread is about; raises `Refusal` (400) for one without its revisions."""
    position = ask.parameters.get("position")
    if position is None:
        return None
    if not isinstance(position, dict):
        raise Refusal(400, {"error": "position is invalid"})
    missing = [name for name in ("base_sha", "start_sha", "head_sha", "position_type") if not position.get(name)]
    if missing:
        raise refuse(400, f'400 Bad request - Note {{:position=>["is incomplete"]}} ({", ".join(missing)})')
    return dict(position)
