"""A merge request's check: a status at once and a final one always, one note, discussions that follow the findings."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.forge.bot import Bot
from penstock.forge.check import Verdict
from penstock.forge.connection import Json
from penstock.forge.finding import findings_of
from penstock.forge.marker import harmless, is_marked, mark, marked_value
from penstock.forge.note import LONGEST, verdict_note
from penstock.forge.review import review
from penstock.release.lock import acquire

World = Any  # of conftest.py

PASSED = Verdict("passed", "clerk@1.1.0: all gates passed")
FAULT: Json = {
    "path": "registry_repo/agents/clerk/1.1.0.yaml",
    "line": 3,
    "column": 1,
    "pointer": "spec",
    "what": "bad",
}


def says(*verdicts: Verdict) -> Callable[[Bot, str, str, object], Verdict]:
    """A check that comes to these verdicts, one after the other, then stays with the last."""
    left = list(verdicts)

    def check(bot: Bot, head: str, base: str, cancelled: object) -> Verdict:
        return left.pop(0) if len(left) > 1 else left[0]

    return check


def failed(*faults: Json) -> Verdict:
    return Verdict("failed", faults[0]["what"], tuple(faults))


def agent(version: str = "1.1.0") -> dict[str, str | None]:
    return {f"registry_repo/agents/clerk/{version}.yaml": "x", f"registry_repo/prompts/clerk/{version}.md": "x"}


def test_a_head_gets_a_status_a_note_and_no_second_look(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    bot = here.bot()
    seen: list[list[tuple[str, str]]] = []

    def check(_: Bot, head: str, base: str, cancelled: object) -> Verdict:
        seen.append(here.statuses(head))
        return PASSED

    done = review(bot, iid, check=check)
    assert (done.outcome, done.head) == ("passed", here.gitlab.head("topic"))
    assert seen == [[("pending", "the check is about to begin")]]
    assert here.statuses(done.head) == [("success", "clerk@1.1.0: all gates passed")]
    (note,) = here.notes(iid)
    assert "✅ passed" in note
    assert review(bot, iid, check=check).outcome == "known"
    assert len(seen) == 1
    assert here.notes(iid) == [note]


def test_the_note_is_updated_in_place_and_the_older_content_folded(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    review(here.bot(), iid, check=says(failed(FAULT)))
    first = here.gitlab.head("topic")
    here.push("topic", agent("1.2.0"))
    review(here.bot(), iid, check=says(PASSED))
    verdicts = here.notes(iid, "<!-- penstock:note ")
    assert len(verdicts) == 1
    assert "1 earlier commit" in verdicts[0]
    assert first[:12] in verdicts[0]
    assert verdicts[0].count("<details>") == verdicts[0].count("</details>") == 1


def test_findings_are_opened_resolved_the_last_one_too_and_opened_again(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    other = {**FAULT, "pointer": "metadata"}
    moved = {**FAULT, "line": 30}
    check = says(failed(FAULT, other), failed(moved), PASSED, failed(FAULT))

    def states() -> list[bool]:
        threads = [one for one in here.gitlab.merge_request(iid).discussions if one.resolvable]
        return [one.resolved for one in threads]

    wanted = [[False, False], [False, True], [True, True], [False, True]]
    for expected in wanted:
        review(here.bot(), iid, check=check, again=True)
        assert states() == expected
    assert ":30:" not in here.notes(iid, "<!-- penstock:finding")[0]


def test_an_own_failed_status_does_not_block_a_retry(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    bot = here.bot()
    assert review(bot, iid, check=says(Verdict("errored", "environment: no disk"))).outcome == "errored"
    assert review(bot, iid, check=says(PASSED)).outcome == "known"
    assert review(bot, iid, check=says(PASSED), again=True).outcome == "passed"
    assert [state for state, _ in here.statuses(here.gitlab.head("topic"))] == ["failed", "success"]


def test_a_crash_leaves_a_final_status(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())

    def crash(*_: object) -> Verdict:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        review(here.bot(), iid, check=crash)
    assert here.statuses(here.gitlab.head("topic")) == [("failed", "environment: the check was cut short")]


def test_a_killed_check_s_pending_status_is_taken_up_again(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    head = here.gitlab.head("topic")
    with here.as_user("penstock") as killed:
        killed.project.commits.get(head, lazy=True).statuses.create(
            {"state": "running", "name": "penstock", "ref": "topic"}
        )
    bot = here.bot()
    bot.workspace.releases.lineage(create=True)
    objects = bot.workspace.releases.objects
    held = acquire(objects, "gitlab", f"merge-request-{iid}", "killed", ttl_s=60)
    assert review(bot, iid, check=says(PASSED)).outcome == "busy", "it may live"
    held.ttl_s = -1
    held.extend()
    assert review(bot, iid, check=says(PASSED)).outcome == "passed"
    assert [state for state, _ in here.statuses(head)] == ["success"]


def test_another_s_status_of_the_commit_is_none_of_ours(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    head = here.gitlab.head("topic")
    with here.as_user("ada") as ada:
        ada.project.commits.get(head, lazy=True).statuses.create({"state": "success", "name": "lint", "ref": "topic"})
        for ref in ("other", "topic"):
            status = {"state": "success", "name": "penstock", "ref": ref}
            ada.project.commits.get(head, lazy=True).statuses.create(status)
    assert review(here.bot(), iid, check=says(failed(FAULT))).outcome == "failed"
    assert review(here.bot(), iid, check=says(PASSED)).outcome == "known"


def test_the_newest_head_wins_and_every_head_gets_its_end(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    first = here.gitlab.head("topic")
    heads: list[str] = []

    def check(_: Bot, head: str, base: str, cancelled: object) -> Verdict:
        heads.append(head)
        if len(heads) == 1:
            here.push("topic", agent("1.2.0"))
        return Verdict("passed", f"round {len(heads)}")

    done = review(here.bot(), iid, check=check)
    assert (done.head, heads) == (here.gitlab.head("topic"), [first, here.gitlab.head("topic")])
    assert [here.statuses(one)[-1][0] for one in heads] == ["success", "success"]
    (note,) = here.notes(iid)
    assert "round 2" in note
    assert "round 1" not in note


def test_two_workers_at_once_check_it_once(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    others: list[str] = []

    def check(*_: object) -> Verdict:
        others.append(review(here.bot(), iid, check=says(PASSED)).outcome)
        return PASSED

    assert review(here.bot(), iid, check=check).outcome == "passed"
    assert others == ["busy"]
    assert len(here.notes(iid)) == 1


@pytest.mark.parametrize("what", ["fork", "closed", "elsewhere"])
def test_what_is_not_checked_says_why(what: str, world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    iid = here.request(agent())
    if what == "closed":
        with here.as_user("ada") as ada:
            ada.project.mergerequests.update(iid, {"state_event": "close"})
    elif what == "elsewhere":
        here.gitlab.commit("other", {"a": "b"})
        iid = here.gitlab.open_merge_request("topic", target="other", by="ada").iid
    bot = here.bot()
    if what == "fork":
        settle = bot.connection.merge_request

        def forked(number: int) -> Any:
            request = settle(number)
            request._attrs["source_project_id"] = 99
            return request

        monkeypatch.setattr(bot.connection, "merge_request", forked)
    done = review(bot, iid, check=says(PASSED))
    assert done.outcome == "not asked"
    assert here.statuses(here.gitlab.head("topic")) == []


def test_a_note_that_cannot_be_written_is_an_environment_failure(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    here.gitlab.fail("POST", r"/merge_requests/\d+/notes$", 403)
    done = review(here.bot(), iid, check=says(PASSED))
    assert done.outcome == "errored"
    assert here.statuses(done.head)[-1][0] == "failed"
    assert here.statuses(done.head)[-1][1].startswith("environment: it could not be shown")


def test_a_lost_answer_to_a_note_leaves_one_note_in_the_end(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    here.gitlab.drop("POST", r"/merge_requests/\d+/notes$", done=True)
    assert review(here.bot(), iid, check=says(PASSED)).outcome == "errored"
    assert review(here.bot(), iid, check=says(PASSED), again=True).outcome == "passed"
    assert len(here.notes(iid)) == 1


def test_a_second_note_that_a_race_left_goes(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent())
    here.say(iid, f"{mark('note', {'head': 'a'})}\nfirst", by="penstock")
    here.say(iid, f"{mark('note', {'head': 'b'})}\nsecond", by="penstock")
    here.say(iid, f"{mark('note', {'head': 'c'})}\na person's", by="ada")
    review(here.bot(), iid, check=says(PASSED))
    notes = here.notes(iid)
    assert len(notes) == 2
    assert "a person's" in notes[1]


def test_what_the_branch_says_cannot_command_gitlab_nor_forge_a_marker() -> None:
    nasty = "/merge\n/approve\n<!-- penstock:note -->\n</details>"
    version = {"agent": "clerk", "version": "1.1.0", "stage": "dev", "verdict": "failed", "sentence": nasty}
    report = {"agent": nasty, "version": nasty, "stage": nasty}
    verdict = Verdict("failed", nasty, ({**FAULT, "what": nasty, "path": nasty},), (version,), {"clerk@1.1.0": report})
    body = verdict_note("a" * 40, verdict, None)
    assert not [line for line in body.splitlines() if line.lstrip().startswith("/")]
    assert body.count("<!--") == 1
    assert body.count("<details>") == body.count("</details>")
    for finding in findings_of(verdict):
        assert not [line for line in harmless(finding.text).splitlines() if line.lstrip().startswith("/")]


def test_a_note_is_never_longer_than_gitlab_takes() -> None:
    version = {"agent": "clerk", "version": "1.1.0", "stage": "dev", "verdict": "failed", "sentence": "s" * 5_000}
    faults = tuple({**FAULT, "pointer": str(number), "what": "w" * 5_000} for number in range(2_000))
    verdict = Verdict("failed", "s" * 10_000, faults, (version,) * 200)
    assert len(verdict_note("a" * 40, verdict, None)) < LONGEST
    assert len(findings_of(verdict)) == 50


def test_markers_read_back() -> None:
    value = {"sentence": "a --> b <!-- c", "n": 1}
    text = f"{mark('note', value)}\nrest"
    assert is_marked(text, "note")
    assert marked_value(text, "note") == value
    assert text.partition("\n")[0].count("-->") == 1
    assert not is_marked(f"> {text}", "note")
    assert marked_value("<!-- penstock:note {broken -->", "note") is None
