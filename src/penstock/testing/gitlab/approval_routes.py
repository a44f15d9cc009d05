"""Routes of approvals: on the free tier nobody has to approve, and everyone from developer on may."""

from penstock.testing.gitlab.ask import Answer, Ask, Json, not_found, unauthorized
from penstock.testing.gitlab.entities import stamp, user_basic
from penstock.testing.gitlab.merge_request_routes import require_head
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import DEVELOPER, READ, GitlabState, MergeRequest, User
from penstock.testing.gitlab.thread import system_note
from penstock.testing.gitlab.webhook import announce_merge_request

_ONE = "/projects/:id/merge_requests/:merge_request_iid"


@route("GET", f"{_ONE}/approvals", level=READ)
def get_approvals(ask: Ask) -> Answer:
    """Who approved; with no rule it counts as approved once anyone did."""
    made = ask.state.merge_request(ask.part("merge_request_iid"))
    return body_of(_approvals(ask.state, made, ask.token.user if ask.token else None))


@route("POST", f"{_ONE}/approve", level=READ, takes="sha")
def approve(ask: Ask) -> Answer:
    """Approves the head: 401 for who may not or did already, 409 where `sha` is not the head."""
    state, made = ask.state, ask.state.merge_request(ask.part("merge_request_iid"))
    require_head(ask, made)
    if not _may_approve(state, made, ask.user):
        raise unauthorized()
    made.approvals.append((ask.user, state.now()))
    made.updated_at = state.now()
    system_note(state, made, ask.user, "approved this merge request")
    announce_merge_request(state, made, ask.user, "approved")
    return body_of(_approvals(state, made, ask.user), 201)


@route("POST", f"{_ONE}/unapprove", level=READ)
def unapprove(ask: Ask) -> Answer:
    """Takes the own approval back; 404 where there is none."""
    state, made = ask.state, ask.state.merge_request(ask.part("merge_request_iid"))
    kept = [(user, at) for user, at in made.approvals if user is not ask.user]
    if len(kept) == len(made.approvals):
        raise not_found()
    made.approvals = kept
    made.updated_at = state.now()
    system_note(state, made, ask.user, "unapproved this merge request")
    announce_merge_request(state, made, ask.user, "unapproved")
    return body_of(_approvals(state, made, ask.user), 201)


@route("GET", f"{_ONE}/approval_state", level=READ)
def get_approval_state(ask: Ask) -> Answer:
    """The rules: none on the free tier."""
    ask.state.merge_request(ask.part("merge_request_iid"))
    return body_of({"approval_rules_overwritten": False, "rules": []})


def _approvals(state: GitlabState, made: MergeRequest, user: User | None) -> Json:
    return {
        "user_has_approved": any(approver is user for approver, _ in made.approvals),
        "user_can_approve": user is not None and _may_approve(state, made, user),
        "approved": len(made.approvals) >= max(state.settings.approvals_required, 1),
        "approved_by": [
            {"user": user_basic(state, approver), "approved_at": stamp(at)} for approver, at in made.approvals
        ],
    }


def _may_approve(state: GitlabState, made: MergeRequest, user: User) -> bool:
    if made.state != "opened" or any(approver is user for approver, _ in made.approvals):
        return False
    own = user is made.author and not state.settings.author_may_approve
    return state.level_of(user) >= DEVELOPER and not own
