"""Comments that command the bot: acknowledged by one emoji, checked for rights, done once, answered."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from penstock.forge.answer import Answered, answer_comments
from penstock.forge.bot import Bot
from penstock.forge.review import Reviewed
from penstock.release.clock import now
from penstock.release.driver import promote
from penstock.release.lock import locks_held
from penstock.release.stops import hold

World = Any  # of conftest.py
ANSWER = "<!-- penstock:answer "


def recheck() -> Reviewed:
    return Reviewed("passed", "all gates passed")


def answer(bot: Bot, iid: int) -> list[Answered]:
    return answer_comments(bot, iid, recheck)


def a_request(here: World) -> int:
    iid: int = here.request({"README.md": "words"})
    here.reconcile()
    return iid


def test_a_command_gets_one_emoji_and_one_answer(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    note = here.say(iid, "/penstock plan")
    bot = here.bot()
    assert answer(bot, iid) == [Answered(note["id"], "/penstock plan", ok=True)]
    assert here.emoji(note["id"], iid) == ["eyes"]
    (said,) = here.notes(iid, ANSWER)
    assert "Checked again: passed: all gates passed" in said
    assert answer(bot, iid) == answer(here.bot(), iid) == []
    assert locks_held(bot.workspace.releases.objects) == []


def test_a_rollback_and_a_hold_are_done_as_the_one_who_asked(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    here.say(iid, "/penstock hold clerk --reason the provider is down", by="ben")
    answer(here.bot(), iid)
    bot = here.bot()
    table = bot.workspace.releases.newest_table()
    assert table is not None
    held = table.agents["clerk"].hold
    assert held is not None
    assert held["by"] == "ben@example.org"
    assert held["reason"].startswith("the provider is down (!1, comment ")
    here.say(iid, "/penstock unhold clerk --reason it is back", by="mia")
    assert [one.ok for one in answer(bot, iid)] == [True]
    table = bot.workspace.releases.newest_table()
    assert table is not None
    assert table.agents["clerk"].hold is None


@pytest.mark.parametrize(
    ("by", "why"),
    [("gus", "no member of the project with at least the role Developer"), ("max", "nothing says whose account")],
)
def test_who_has_no_right_is_told_so(by: str, why: str, world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    here.gitlab.add_user("max", email="max@example.org", access_level=30)
    note = here.say(iid, "/penstock hold clerk --reason because", by=by)
    assert [one.ok for one in answer(here.bot(), iid)] == [False]
    assert why in here.notes(iid, ANSWER)[0]
    assert here.emoji(note["id"], iid) == ["eyes"]


def test_a_member_without_penstock_s_own_right_is_refused(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    here.gitlab.add_user("eve", email="eve@example.org", public_email="eve@example.org", access_level=40)
    here.say(iid, "/penstock hold clerk --reason because", by="eve")
    assert [one.ok for one in answer(here.bot(), iid)] == [False]
    assert "may not hold" in here.notes(iid, ANSWER)[0]


def test_an_unknown_command_gets_one_reply_with_help(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    here.say(iid, "/penstock deploy @all now")
    answer(here.bot(), iid)
    answer(here.bot(), iid)
    (said,) = here.notes(iid, ANSWER)
    assert "is no command" in said
    assert "| `/penstock plan" in said
    assert "@all" not in said


def test_two_workers_at_once_do_it_once(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    here.say(iid, "/penstock plan")
    other: list[Answered] = []

    def meanwhile() -> Reviewed:
        other.extend(answer(here.bot(), iid))
        return recheck()

    assert len(answer_comments(here.bot(), iid, meanwhile)) == 1
    assert other == []
    assert len(here.notes(iid, ANSWER)) == 1


def test_a_crash_between_doing_and_answering_is_safe(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    note = here.say(iid, "/penstock hold clerk --reason because", by="ben")
    here.gitlab.drop("POST", r"/merge_requests/\d+/notes$")
    bot = here.bot()
    with pytest.raises(Exception, match="no answer"):
        answer(bot, iid)
    table = bot.workspace.releases.newest_table()
    assert table is not None
    assert here.emoji(note["id"], iid) == ["eyes"]
    assert len(answer(here.bot(), iid)) == 1
    again = bot.workspace.releases.newest_table()
    assert again is not None
    assert again.generation == table.generation
    assert "hold: done, routing table" in here.notes(iid, ANSWER)[0]
    assert here.emoji(note["id"], iid) == ["eyes"]


def test_a_rollback_that_was_done_is_not_done_to_the_next_stage_after_a_crash(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    here.approve("clerk", "1.0.0", "canary", "ben")
    promote(here.acting("ben"), ("clerk", "1.0.0", "canary"))
    here.say(iid, "/penstock rollback clerk --keep --reason it is slow", by="ben")
    here.gitlab.drop("POST", r"/merge_requests/\d+/notes$")
    with pytest.raises(Exception, match="no answer"):
        answer(here.bot(), iid)
    routes = here.routes()
    assert (routes.canary, routes.dev[0].version) == (None, "1.0.0")
    assert [one.ok for one in answer(here.bot(), iid)] == [True]
    assert "rollback: done, routing table" in here.notes(iid, ANSWER)[0]
    assert here.routes() == routes


def test_under_dagster_a_promotion_is_asked_for(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    here.settings = here.settings.model_copy(update={"driver": "dagster"})
    here.say(iid, "/penstock promote clerk --to canary", by="ben")
    bot = here.bot()
    answer(bot, iid)
    assert "to canary: waiting: the driver has not answered yet" in here.notes(iid, ANSWER)[0]
    (asked,) = bot.workspace.releases.requests()
    assert (asked.who, asked.identified_by, asked.version) == ("ben@example.org", "gitlab", "1.0.0")


def test_a_comment_that_was_edited_or_is_of_long_ago_does_nothing(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    edited, old, mine = (here.say(iid, "a word") for _ in range(3))
    notes = {one.id: one for thread in here.gitlab.merge_request(iid).discussions for one in thread.notes}
    notes[edited["id"]].body = notes[old["id"]].body = "/penstock plan"
    notes[edited["id"]].updated_at = now() + timedelta(seconds=5)
    notes[old["id"]].created_at = notes[old["id"]].updated_at = now() - timedelta(days=8)
    notes[mine["id"]].body = "/penstock plan"
    notes[mine["id"]].author = here.gitlab.state.user_named("penstock")
    assert answer(here.bot(), iid) == []
    assert here.notes(iid, ANSWER) == []


def test_an_answer_that_a_person_quotes_or_forges_does_not_count(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    note = here.say(iid, "/penstock plan")
    here.say(iid, f"{ANSWER}{note['id']} -->\nno")
    assert len(answer(here.bot(), iid)) == 1


def test_a_list_that_moves_between_its_pages_is_read_whole(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    for number in range(120):
        here.say(iid, f"word {number}")
    asked = [here.say(iid, "/penstock plan")["id"]]
    here.gitlab.shift_pages(r"/merge_requests/\d+/notes$", -1)
    bot = here.bot()
    assert [one.note for one in answer(bot, iid)] == asked
    here.gitlab.shift_pages(r"/merge_requests/\d+/notes$", 1)
    assert answer(here.bot(), iid) == []
    assert len(here.notes(iid, ANSWER)) == 1


def test_a_promotion_by_comment(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    here.say(iid, "/penstock promote clerk --to canary")
    bot = here.bot()
    assert [one.ok for one in answer(bot, iid)] == [False]
    assert "0 of 1 approvals by an approver of team qa" in here.notes(iid, ANSWER)[0]
    here.approve("clerk", "1.0.0", "canary", "ben")
    here.say(iid, "/penstock promote clerk --to canary")
    here.say(iid, "/penstock promote clerk@1.0.0 --to canary")
    assert [one.ok for one in answer(bot, iid)] == [True, True]
    assert "clerk&#64;1.0.0 to canary: committed as" in here.notes(iid, ANSWER)[1]
    assert "stands in canary" in here.notes(iid, ANSWER)[2]


def test_a_hold_of_somebody_s_stops_a_promotion_by_comment(world: Callable[..., World]) -> None:
    here = world()
    iid = a_request(here)
    bot = here.bot()
    hold(here.acting("mia"), "clerk", "not now")
    here.say(iid, "/penstock promote clerk --to canary")
    answer(bot, iid)
    assert "held by mia&#64;example.org" in here.notes(iid, ANSWER)[0]
