import random
from typing import Any

import pytest

from penstock.scoring.canary.session import WORDS_S, Session, sessions_of

WINDOW_S = 300.0


def sessions(live: Any) -> list[Session]:
    return sessions_of(live.canary, live.prod, live.words, began=live.at(0), window_s=WINDOW_S)


def ids(found: list[Session]) -> list[list[str]]:
    return [[run.run_id for run in session.runs] for session in found]


def test_a_session_is_judged_by_the_runs_of_its_window(live: Any) -> None:
    live.run("canary", "s", 10)
    live.run("canary", "s", 309.999, routed_by="session")
    live.run("canary", "s", 310, routed_by="session")
    live.run("prod", "t", 5)
    assert ids(sessions(live)) == [["run-00004"], ["run-00001", "run-00002"]]
    assert [session.on_canary for session in sessions(live)] == [False, True]


def test_the_order_in_which_rows_were_read_means_nothing(live: Any) -> None:
    for at in range(60):
        live.run("canary" if at % 3 else "prod", f"s{at // 2}", 7.0 * (at % 20), routed_by="prod")
    straight = sessions(live)
    for seed in range(5):
        random.Random(seed).shuffle(live.canary)
        random.Random(seed).shuffle(live.prod)
        assert sessions(live) == straight


def test_a_run_without_a_session_stands_for_itself_and_tenants_do_not_share_sessions(live: Any) -> None:
    live.run("canary", None, 1)
    live.run("canary", None, 2)
    live.run("prod", "s", 3)
    live.run("prod", "s", 4, tenant="other")
    assert [len(session.runs) for session in sessions(live)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("at", "route"), [(-1, "canary weight"), (5, "session")], ids=["by its first run", "by its route"]
)
def test_a_session_that_began_before_counts_on_neither_side(live: Any, at: float, route: str) -> None:
    live.run("prod", "s", at, routed_by=route)
    live.run("prod", "s", 20, routed_by="session")
    assert sessions(live) == []


def test_whoever_asked_for_a_version_is_no_sample_and_takes_no_session_along(live: Any) -> None:
    live.run("canary", "s", 1, routed_by="explicit stage")
    live.run("canary", "s", 2, routed_by="explicit version")
    live.run("prod", "s", 3, routed_by="prod")
    live.run("canary", None, 4, routed_by="explicit stage")
    [session] = sessions(live)
    assert (session.on_canary, session.started, ids([session])) == (False, sessions(live)[0].started, [["run-00003"]])


def test_the_allow_list_is_no_fair_sample_for_the_whole_session(live: Any) -> None:
    live.run("canary", "s", 1, routed_by="allow-list")
    live.run("canary", "s", 2, routed_by="session")
    live.run("canary", "t", 3)
    assert [session.sampled for session in sessions(live)] == [False, True]


def test_rows_that_do_not_say_why_they_were_routed_count_as_sampled(live: Any) -> None:
    live.run("canary", "s", 1, routed_by=None)
    assert [session.sampled for session in sessions(live)] == [True]


def test_cancelled_and_rejected_runs_say_nothing_but_begin_the_session(live: Any) -> None:
    live.run("canary", "s", 1, status="rejected")
    live.run("canary", "s", 200, status="failed", routed_by="session")
    live.run("canary", "s", 302, routed_by="session")
    live.run("prod", "only cancelled", 3, status="cancelled")
    assert ids(sessions(live)) == [["run-00002"]]


def test_a_refusal_without_a_route_begins_nothing(live: Any) -> None:
    live.run("prod", "s", 1, status="rejected", routed_by=None)
    live.run("canary", "s", 400)
    assert ids(sessions(live)) == [["run-00002"]]


def test_a_session_that_changed_sides_counts_where_it_began(live: Any) -> None:
    live.run("canary", "s", 1)
    live.run("prod", "s", 2, routed_by="prod")
    assert ids(sessions(live)) == [["run-00001"]]


def test_words_count_while_they_are_fresh(live: Any) -> None:
    run = live.run("canary", "s", 0)
    live.say(run, -1, WINDOW_S + WORDS_S)
    live.say(run, 1, WINDOW_S + WORDS_S + 1)
    [session] = sessions(live)
    assert session.ratings == (-1,)
