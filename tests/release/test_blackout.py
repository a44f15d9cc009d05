"""Blackouts: windows by cron and zone, deny over allow, the moment at which a stage opens, and who is exempt."""

import html
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contracts.pipeline import Blackout
from penstock.errors import Refused
from penstock.release.automatic import move_automatically
from penstock.release.blackout import closed, next_close, next_open, windows_of
from penstock.release.driver import plan_promotion, promote
from penstock.release.plan_view import plan_document, plan_markdown, plan_text
from penstock.release.rollback import roll_back

World = Any
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")


def window(**fields: Any) -> Blackout:
    known = {"name": "weekend", "cron": "0 16 * * 5", "duration": "64h", "timeZone": "Europe/Berlin", "reason": "quiet"}
    return Blackout.model_validate({**known, **fields})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


WEEKEND = window()
OFFICE = window(name="office", kind="allow", cron="0 9 * * 1-5", duration="8h", reason="office hours")


@pytest.mark.parametrize(
    ("windows", "moment", "opens"),
    [
        ([WEEKEND], "2026-11-27T14:59:59", "2026-11-27T14:59:59"),
        ([WEEKEND], "2026-11-27T15:00:00", "2026-11-30T07:00:00"),
        ([WEEKEND], "2026-11-30T06:59:59", "2026-11-30T07:00:00"),
        ([WEEKEND], "2026-11-30T07:00:00", "2026-11-30T07:00:00"),
        ([OFFICE], "2026-11-30T07:00:00", "2026-11-30T08:00:00"),
        ([WEEKEND, OFFICE], "2026-11-28T12:00:00", "2026-11-30T08:00:00"),
        # Two windows that overlap are one long one, and a window that begins as another ends leaves no gap.
        (
            [WEEKEND, window(name="monday", cron="0 8 * * 1", duration="2h")],
            "2026-11-28T12:00:00",
            "2026-11-30T09:00:00",
        ),
        # Clocks go forward: 2:30 is not there that night, and the window begins at 3:00; an hour is an hour.
        ([window(cron="30 2 * * *", duration="1h")], "2026-03-29T01:10:00", "2026-03-29T02:00:00"),
        # Clocks go back: 2:30 comes twice and the window once.
        ([window(cron="30 2 * * *", duration="1h")], "2026-10-25T00:45:00", "2026-10-25T01:30:00"),
        ([window(cron="30 2 * * *", duration="1h")], "2026-10-25T01:45:00", "2026-10-25T01:45:00"),
    ],
)
def test_when_it_opens(windows: list[Blackout], moment: str, opens: str) -> None:
    assert next_open(windows, at(moment)) == at(opens)
    assert (closed(windows, at(moment)) is None) == (moment == opens)


def test_deny_wins_and_every_denying_reason_is_said() -> None:
    both = [window(name="freeze", cron="0 10 * * 1", duration="1h", reason="audit"), OFFICE]
    found = closed(both, at("2026-11-30T09:30:00"))
    assert found is not None
    assert found.sentence == "blackout freeze: audit; it opens at 2026-11-30T10:00:00.000000Z"


def test_what_never_opens_says_so() -> None:
    always = window(cron="0 0 * * *", duration="2d")
    found = closed([always], at("2026-11-30T00:00:00"))
    assert found is not None
    assert found.next_open is None
    assert found.sentence.endswith("it does not open within a year")
    assert next_close([always], at("2026-11-30T00:00:00")) is None


def test_when_it_closes_next() -> None:
    assert next_close([WEEKEND], at("2026-11-25T12:00:00")) == at("2026-11-27T15:00:00")
    assert next_close([WEEKEND, OFFICE], at("2026-11-25T12:00:00")) == at("2026-11-25T16:00:00")
    assert next_close([], at("2026-11-25T12:00:00")) is None
    seamless = window(name="always", kind="allow", cron="0 0 * * *", duration="24h", timeZone="UTC")
    assert next_close([seamless], at("2026-11-25T12:00:00")) is None


def test_windows_are_of_agents_and_stages() -> None:
    chosen = window(agents=["shop-*", "clerk"], stages=["prod"])
    assert windows_of([chosen], "shop-front", "prod") == [chosen]
    assert windows_of([chosen], "clerk", "prod") == [chosen]
    assert windows_of([chosen], "clerks", "prod") == []
    assert windows_of([chosen], "clerk", "canary") == []


minutes = st.integers(0, 59)
hours = st.integers(0, 23)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda minute, hour, lasts, zone, kind: window(
                cron=f"{minute} {hour} * * *", duration=f"{lasts}m", timeZone=zone, kind=kind
            ),
            minutes,
            hours,
            st.integers(1, 1_000),
            st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
            st.sampled_from(["deny", "allow"]),
        ),
        max_size=3,
    ),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_it_is_open_when_it_is_said_to_open(windows: list[Blackout], moment: datetime) -> None:
    opens = next_open(windows, moment)
    if opens is None:
        return
    assert opens >= moment
    assert closed(windows, opens) is None
    if opens > moment:
        assert closed(windows, moment) is not None
        assert closed(windows, moment + (opens - moment) / 2) is not None


ALWAYS = '\n  blackouts: [{name: always, cron: "* * * * *", duration: 1h, reason: stocktaking}]'


def with_blackout(here: World, text: str = ALWAYS) -> None:
    path = "pipelines/release.yaml"
    here.merge({path: (here.author.root / path).read_text().rstrip() + text + "\n"}, "A blackout")


def test_nothing_is_promoted_in_a_blackout_and_rollback_is_exempt(world: Callable[..., World]) -> None:
    here = world()
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.reconcile()
    here.approve("helper", "1.1.0", "canary", APPROVER)
    with_blackout(here)
    with pytest.raises(Refused, match="blackout always: stocktaking; it does not open within a year"):
        promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    with pytest.raises(Refused, match="stocktaking"):
        promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"), override="I want it")
    here.add("helper", "1.2.0")
    moved = [(move.version, move.moved) for move in here.reconcile().moves]
    assert moved == [("1.2.0", True)], "dev is not meant unless a blackout names it"


def test_a_rollback_is_exempt(world: Callable[..., World]) -> None:
    here = world()
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.to_canary("helper", "1.1.0")
    with_blackout(here)
    done = roll_back(here.workspace(MANAGER), "helper", "bad", stage="canary")
    assert (done.pending, here.routes().canary) == ("", None)


def test_the_plan_shows_reason_and_next_open_in_all_three_forms(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    with_blackout(here, '\n  blackouts: [{name: leap, cron: "0 0 1 * *", duration: 31d, reason: year end}]')
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    planned = plan_promotion(workspace, ("helper", "1.0.0", "canary"))
    document = plan_document(planned)
    unmet = [one for one in document["unmet"] if one["kind"] == "blackout"]
    assert [one["nextOpen"] for one in unmet] == [document["window"]["nextOpen"]]
    assert document["window"]["open"] is (unmet == [])
    for form in (plan_text(planned), plan_markdown(planned)):
        for one in document["unmet"]:
            assert one["what"].split(";")[0].split(":")[0] in html.unescape(form).replace("\\", "")


def test_a_blackout_that_names_dev_keeps_automatic_moves(world: Callable[..., World]) -> None:
    here = world()
    with_blackout(here, ALWAYS.replace("reason", "stages: [dev], reason"))
    workspace = here.workspace(MANAGER)
    here.reconcile()
    workspace.fetch()
    (move,) = move_automatically(workspace, ["helper"])
    assert not move.moved
    assert "stocktaking" in move.why


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{name: a, cron: "0 25 * * *", duration: 1h, reason: x}', "spec.blackouts[0].cron: is no cron time"),
        ('{name: a, cron: "0 0 * *", duration: 1h, reason: x}', "it has not five fields"),
        ('{name: a, cron: "0 0 30 2 *", duration: 1h, reason: x}', "spec.blackouts[0].cron: is no cron time"),
        ('{name: a, cron: "0 0 * * *", duration: 32d, reason: x}', "at most 31d"),
        ('{name: a, cron: "0 0 * * *", duration: 0s, reason: x}', "must be more than 0"),
        ('{name: a, cron: "0 0 * * *", duration: 1h, timeZone: Mars/Olympus, reason: x}', "there is no time zone"),
        ('{name: a, cron: "0 0 * * *", duration: 1h, timeZone: ../../etc, reason: x}', "there is no time zone"),
        ('{name: a, cron: "0 0 * * *", duration: 1h, agents: ["*-x"], reason: x}', "is no agent's name"),
        (
            ", ".join(['{name: a, cron: "0 0 * * *", duration: 1h, reason: x}'] * 2),
            "there are two blackouts 'a'",
        ),
    ],
)
def test_a_blackout_that_makes_no_sense_is_a_fault(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str], text: str, what: str
) -> None:
    here = world()
    path = here.author.root / "pipelines/release.yaml"
    path.write_text(path.read_text().rstrip() + f"\n  blackouts: [{text}]\n")
    assert here.cli(("Ada Author", "author@example.org"), "validate") == 1
    said = capsys.readouterr().err
    assert what in said
    assert "pipelines/release.yaml:10:" in said


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        ("[{percent: 5}, {percent: 1}]", "is less than the 5 of the step before"),
        ("[{percent: 1.234}]", "has more than two decimals"),
        ("[{percent: 0, minSessions: 5}]", "nobody meets the canary at this step"),
        ("[{percent: 5, soak: 2d, deadline: 1d}]", "is over before the soak is"),
        ("[{percent: 5, soak: 2}]", "spec.canary.steps[0].soak"),
    ],
)
def test_steps_that_make_no_sense_are_faults(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str], steps: str, what: str
) -> None:
    here = world()
    path = here.author.root / "pipelines/release.yaml"
    path.write_text(path.read_text().replace("[{percent: 20}]", steps))
    assert here.cli(("Ada Author", "author@example.org"), "validate") == 1
    assert what in capsys.readouterr().err
