"""Routes of the repository: commits, branches, comparisons, files."""

from urllib.parse import quote

from penstock.testing.gitlab.access import may_merge, may_push, protection_of
from penstock.testing.gitlab.ask import Answer, Ask, Json, forbidden, not_found, refuse
from penstock.testing.gitlab.bare import CommitFacts, is_branch_name
from penstock.testing.gitlab.entities import commit, diff, pipeline
from penstock.testing.gitlab.merge_request_entity import merge_request_basic
from penstock.testing.gitlab.paging import keyset_page, page
from penstock.testing.gitlab.push import take_in
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import DEVELOPER, READ, GitlabState

_COMMITS = "/projects/:id/repository/commits"
_BRANCHES = "/projects/:id/repository/branches"


@route("GET", _COMMITS, level=READ, takes="ref_name path since until")
def list_commits(ask: Ask) -> Answer:
    """The commits of a branch or a range `a..b`, newest first; `path` keeps those that touch it."""
    state, name = ask.state, ask.text("ref_name") or ask.state.settings.default_branch
    since, _, until = name.rpartition("..")
    facts = state.repository.commits(_known(state, until), since=_known(state, since) if since else None)
    after, before = ask.time("since"), ask.time("until")
    facts = [
        one
        for one in facts
        if (after is None or one.committed_at >= after) and (before is None or one.committed_at <= before)
    ]
    path = ask.text("path")
    if path:
        facts = [one for one in facts if _touches(state, one, path)]
    return page(ask, facts, lambda one: commit(state, one))


@route("GET", f"{_COMMITS}/:sha", level=READ)
def get_commit(ask: Ask) -> Answer:
    """One commit, with the pipeline of it."""
    state = ask.state
    facts = state.repository.commit(_known(state, ask.parts["sha"]))
    newest = next((one for one in reversed(state.pipelines) if one.sha == facts.id), None)
    return body_of(
        commit(state, facts)
        | {
            "status": newest.status if newest else None,
            "project_id": state.settings.id,
            "last_pipeline": pipeline(state, newest) if newest else None,
        }
    )


@route("GET", f"{_COMMITS}/:sha/diff", level=READ)
def get_commit_diff(ask: Ask) -> Answer:
    """What a commit changed."""
    return page(ask, ask.state.repository.commit_diff(_known(ask.state, ask.parts["sha"])), diff)


@route("GET", f"{_COMMITS}/:sha/merge_requests", level=READ)
def list_commit_merge_requests(ask: Ask) -> Answer:
    """The merge requests that brought or would bring a commit."""
    state, sha = ask.state, _known(ask.state, ask.parts["sha"])
    found = [
        made
        for made in state.merge_requests.values()
        if sha in {made.merge_commit_sha, made.squash_commit_sha}
        or any(one.id == sha for one in state.repository.commits(made.head, since=made.versions[-1].base))
    ]
    return page(ask, found, lambda one: merge_request_basic(state, one))


@route("GET", _BRANCHES, level=READ, takes="search pagination page_token")
def list_branches(ask: Ask) -> Answer:
    """The branches by name; by keyset too."""
    names = [name for name in sorted(ask.state.heads) if ask.text("search") in name]
    return keyset_page(ask, names, lambda name: _branch(ask, name), str)


@route("POST", _BRANCHES, level=DEVELOPER, takes="branch ref")
def create_branch(ask: Ask) -> Answer:
    """A new branch at a ref."""
    state, name = ask.state, str(ask.required("branch"))
    if name in state.heads:
        raise refuse(400, "Branch already exists")
    if not is_branch_name(name):
        raise refuse(400, "Branch name is invalid")
    start = state.repository.resolve(str(ask.required("ref")))
    if start is None:
        raise refuse(400, "Invalid reference name: " + ask.text("ref"))
    state.repository.set_branch(name, start)
    take_in(state, ask.user)
    return body_of(_branch(ask, name), 201)


@route("GET", f"{_BRANCHES}/:branch", level=READ)
def get_branch(ask: Ask) -> Answer:
    """One branch."""
    if ask.parts["branch"] not in ask.state.heads:
        raise not_found("Branch")
    return body_of(_branch(ask, ask.parts["branch"]))


@route("DELETE", f"{_BRANCHES}/:branch", level=DEVELOPER)
def delete_branch(ask: Ask) -> Answer:
    """Removes a branch; protected ones stay."""
    state, name = ask.state, ask.parts["branch"]
    if name not in state.heads:
        raise not_found("Branch")
    if protection_of(state, name) is not None or name == state.settings.default_branch:
        raise forbidden("The branch is protected")
    state.repository.set_branch(name, None)
    take_in(state, ask.user)
    return Answer(204)


@route("GET", "/projects/:id/repository/compare", level=READ, takes="from to straight")
def compare(ask: Ask) -> Answer:
    """What `to` has that `from` has not; `straight` compares the two themselves, else `to` with the merge base."""
    state = ask.state
    before, after = (_known(state, str(ask.required(name))) for name in ("from", "to"))
    start = before if ask.flag("straight") else state.repository.merge_base(before, after) or before
    facts = state.repository.commits(after, since=before)[::-1]
    changes = state.repository.diff(start, after)
    return body_of(
        {
            "commit": commit(state, facts[-1]) if facts else None,
            "commits": [commit(state, one) for one in facts],
            "diffs": [diff(change) for change in changes],
            "compare_timeout": False,
            "compare_same_ref": before == after,
            "web_url": f"{state.project_url}/-/compare/{before}...{after}",
        }
    )


@route("GET", "/projects/:id/repository/merge_base", level=READ, takes="refs")
def merge_base(ask: Ask) -> Answer:
    """The common ancestor of two refs."""
    refs = [_known(ask.state, name) for name in ask.words("refs")]
    if len(refs) < 2:
        raise refuse(400, "Provide at least 2 refs")
    found = ask.state.repository.merge_base(refs[0], refs[1])
    if found is None:
        raise not_found("Merge Base")
    return body_of(commit(ask.state, ask.state.repository.commit(found)))


def _branch(ask: Ask, name: str) -> Json:
    state, user = ask.state, ask.token.user if ask.token else None
    protection, default = protection_of(state, name), state.settings.default_branch
    head = state.heads[name]
    return {
        "name": name,
        "commit": commit(state, state.repository.commit(head)),
        "merged": name != default
        and default in state.heads
        and state.repository.is_ancestor(head, state.heads[default]),
        "protected": protection is not None,
        "developers_can_push": protection is not None and protection.push_level == DEVELOPER,
        "developers_can_merge": protection is not None and protection.merge_level == DEVELOPER,
        "can_push": user is not None and (may_push(state, user, name) or may_merge(state, user, name)),
        "default": name == default,
        "web_url": f"{state.project_url}/-/tree/{quote(name)}",
    }


def _known(state: GitlabState, rev: str) -> str:
    found = state.repository.resolve(rev)
    if found is None:
        raise not_found("Commit")
    return found


def _touches(state: GitlabState, facts: CommitFacts, path: str) -> bool:
    return any(
        place == path or place.startswith(f"{path}/")
        for change in state.repository.commit_diff(facts.id)
        for place in (change.old_path, change.new_path)
    )
