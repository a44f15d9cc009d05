from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Invalid, NotFound, Refused, Unavailable, WrongUse
from penstock.routing import Caller, Route, RoutingTable, bucket


def digest(version: str) -> str:
    return "sha256:" + version.encode().hex().ljust(64, "0")


def entry(version: str, **fields: Any) -> dict[str, Any]:
    return {"version": version, "release": digest(version), "runtime": "direct", **fields}


def canary(version: str = "1.1.0", weight: int = 0, **allow: list[str]) -> dict[str, Any]:
    return entry(version, weightBp=weight, salt=digest(version), step=1, since="", allow=allow)


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def table(overlay: list[dict[str, Any]] | None = None, **routes: Any) -> RoutingTable:
    document = {
        "schema": "penstock.dev/routing/v1",
        "lineage": "l",
        "generation": 7,
        "createdAt": "2026-11-20T10:00:00Z",
        "source": {"commit": None, "kind": "promote", "actor": "ann@example.org"},
        "agents": {"clerk": {"prod": entry("1.0.0"), **routes}},
        "overlay": {"clerk": overlay or []},
    }
    return RoutingTable.from_bytes(orjson.dumps(document))


def ask(
    of: RoutingTable,
    pinned: str | None = None,
    *,
    tenant: str | None = None,
    user: str | None = None,
    session: str | None = None,
    version: str | None = None,
    stage: str | None = None,
) -> Route:
    caller = Caller(tenant, user, session, "run-1", version, stage)
    return of.select("clerk", caller, digest(pinned) if pinned else None)


def answer(route: Route) -> tuple[str, str, str]:
    return route.version, route.stage, route.reason


def test_prod_answers_who_asks_for_nothing() -> None:
    assert ask(table()) == Route("clerk", "1.0.0", digest("1.0.0"), "direct", "prod", "prod", 7)


def test_an_unknown_agent_is_not_found() -> None:
    with pytest.raises(NotFound, match="no agent 'clark'") as caught:
        table().select("clark", Caller(None, None, None, "r"))
    assert "clerk" in caught.value.now


@pytest.mark.parametrize("status", ["frozen", "disabled"])
def test_a_stopped_agent_takes_no_run_and_says_why(status: str) -> None:
    change = {"id": "1", "set": {"status": status}, "actor": "a", "reason": "costs explode", "at": ""}
    stopped = table([change], status=status)
    for wish in ({}, {"version": "1.0.0"}, {"stage": "prod"}, {"pinned": "1.0.0"}):
        with pytest.raises(Refused, match=f"{status} and takes no new run: costs explode"):
            ask(stopped, **wish)


# --- an explicit version or stage


def test_an_explicit_version_answers_wherever_it_stands() -> None:
    of = table(
        canary=canary("1.1.0"),
        dev=[entry("1.2.0"), entry("1.3.0")],
        previous=entry("0.9.0"),
        draining=[entry("0.8.0", until=in_hours(1))],
        deprecated=["0.9.0"],
    )
    places = {"1.0.0": "prod", "1.1.0": "canary", "1.2.0": "dev", "1.3.0": "dev", "0.9.0": "prod", "0.8.0": "prod"}
    for version, stage in places.items():
        assert answer(ask(of, version=version)) == (version, stage, "explicit version")
    with pytest.raises(NotFound, match=r"version 2\.0\.0 stands nowhere") as caught:
        ask(of, version="2.0.0")
    assert "1.1.0 (canary)" in caught.value.now


def test_an_explicit_version_whose_drain_is_over_stands_nowhere() -> None:
    with pytest.raises(NotFound):
        ask(table(draining=[entry("0.8.0", until=in_hours(-1))]), version="0.8.0")


def test_an_explicit_stage_answers_with_what_stands_there() -> None:
    of = table(canary=canary("1.1.0"), dev=[entry("1.2.0")])
    assert answer(ask(of, stage="prod")) == ("1.0.0", "prod", "explicit stage")
    assert answer(ask(of, stage="canary")) == ("1.1.0", "canary", "explicit stage")
    assert answer(ask(of, stage="dev")) == ("1.2.0", "dev", "explicit stage")
    with pytest.raises(NotFound, match="canary stands nowhere"):
        ask(table(), stage="canary")


def test_of_several_in_dev_one_must_be_named() -> None:
    of = table(dev=[entry("1.2.0"), entry("1.3.0")])
    with pytest.raises(WrongUse, match=r"1\.2\.0, 1\.3\.0"):
        ask(of, stage="dev")
    assert answer(ask(of, stage="dev", version="1.3.0")) == ("1.3.0", "dev", "explicit version")
    with pytest.raises(NotFound):
        ask(of, stage="canary", version="1.3.0")


def test_an_explicit_wish_comes_before_the_session() -> None:
    of = table(canary=canary("1.1.0", 10_000))
    assert answer(ask(of, "1.0.0", session="s", stage="canary")) == ("1.1.0", "canary", "explicit stage")
    assert Caller(None, None, "s", "r", stage="canary").is_explicit
    assert not Caller(None, None, "s", "r").is_explicit


@pytest.mark.parametrize("wish", [{"version": "1.1.0"}, {"stage": "canary"}])
def test_a_quarantined_or_disabled_wish_is_refused(wish: dict[str, str]) -> None:
    with pytest.raises(Refused, match="quarantined"):
        ask(table(canary=canary("1.1.0"), quarantined=[digest("1.1.0")]), **wish)
    with pytest.raises(Refused, match="disabled"):
        ask(table(canary=canary("1.1.0"), disabled=["1.1.0"]), **wish)


def test_a_disabled_version_that_stands_nowhere_is_refused_not_unknown() -> None:
    with pytest.raises(Refused, match="disabled"):
        ask(table(disabled=["0.5.0"]), version="0.5.0")


# --- the session's release


def test_a_session_keeps_its_release_through_promotion() -> None:
    promoted = table(prod=entry("1.1.0"), previous=entry("1.0.0"), draining=[entry("1.0.0", until=in_hours(1))])
    assert answer(ask(promoted, "1.0.0", session="s")) == ("1.0.0", "prod", "session")
    assert answer(ask(promoted, session="s")) == ("1.1.0", "prod", "prod")


def test_a_drained_session_moves_on() -> None:
    over = table(prod=entry("1.1.0"), previous=entry("1.0.0"), draining=[entry("1.0.0", until=in_hours(-1))])
    assert answer(ask(over, "1.0.0", session="s")) == ("1.1.0", "prod", "prod")
    gone = table(prod=entry("1.1.0"), previous=entry("1.0.0"))
    assert answer(ask(gone, "1.0.0", session="s")) == ("1.1.0", "prod", "prod")
    unreadable = table(prod=entry("1.1.0"), draining=[entry("1.0.0", until="soon")])
    assert answer(ask(unreadable, "1.0.0", session="s")) == ("1.1.0", "prod", "prod")


def test_a_session_of_the_canary_stays_when_the_weight_falls() -> None:
    assert answer(ask(table(canary=canary("1.1.0", 0)), "1.1.0", session="s")) == ("1.1.0", "canary", "session")


def test_a_session_on_a_quarantined_or_disabled_release_moves_at_once() -> None:
    rolled_back = table(dev=[entry("1.1.0")], quarantined=[digest("1.1.0")])
    assert answer(ask(rolled_back, "1.1.0", session="s")) == ("1.0.0", "prod", "prod")
    assert answer(ask(table(dev=[entry("1.1.0")], disabled=["1.1.0"]), "1.1.0", session="s"))[0] == "1.0.0"


def test_a_session_on_a_release_that_was_rolled_back_but_kept_stays() -> None:
    assert answer(ask(table(dev=[entry("1.1.0")]), "1.1.0", session="s")) == ("1.1.0", "dev", "session")


def test_a_session_on_an_unknown_release_moves_on() -> None:
    assert answer(ask(table(), "0.1.0", session="s")) == ("1.0.0", "prod", "prod")


# --- the canary


@pytest.mark.parametrize("who", [{"tenant": "t"}, {"user": "u"}, {"session": "s"}])
def test_the_allow_list_meets_the_canary_at_no_weight(who: dict[str, str]) -> None:
    of = table(canary=canary("1.1.0", 0, tenants=["t"], users=["u"], sessions=["s"]))
    assert answer(ask(of, **who)) == ("1.1.0", "canary", "allow-list")
    assert answer(ask(of)) == ("1.0.0", "prod", "prod")
    pinned = ask(of, "1.0.0", **who)
    assert pinned.reason == "session"


def test_the_weight_decides_by_the_bucket_of_salt_and_key() -> None:
    for number in range(200):
        user = f"user-{number}"
        place = bucket(f"{digest('1.1.0')}:{user}", 10_000)
        at = ask(table(canary=canary(weight=place)), user=user)
        above = ask(table(canary=canary(weight=place + 1)), user=user)
        assert answer(at) == ("1.0.0", "prod", "prod")
        assert answer(above) == ("1.1.0", "canary", "canary weight")


@pytest.mark.parametrize(
    ("sticky", "who", "key"),
    [
        ("session", {"tenant": "t", "user": "u", "session": "s"}, "s"),
        ("user", {"tenant": "t", "user": "u", "session": "s"}, "u"),
        ("tenant", {"tenant": "t", "user": "u", "session": "s"}, "t"),
        ("session", {"tenant": "t", "user": "u"}, "u"),
        ("user", {"tenant": "t", "session": "s"}, "s"),
        ("tenant", {"user": "u", "session": "s"}, "s"),
        ("tenant", {}, "run-1"),
    ],
)
def test_the_key_is_sticky_by_else_session_user_run(sticky: str, who: dict[str, str], key: str) -> None:
    place = bucket(f"{digest('1.1.0')}:{key}", 10_000)
    for weight, expected in ((place, "prod"), (place + 1, "canary weight")):
        assert ask(table(stickyBy=sticky, canary=canary(weight=weight)), **who).reason == expected


@given(st.text(min_size=1), st.integers(0, 10_000), st.integers(0, 10_000))
def test_growing_the_weight_never_throws_a_user_back(user: str, one: int, other: int) -> None:
    small, large = sorted((one, other))
    before = ask(table(canary=canary(weight=small)), user=user)
    after = ask(table(canary=canary(weight=large)), user=user)
    assert not (before.stage == "canary" and after.stage == "prod")


def test_the_canary_gets_its_share_and_other_canaries_meet_others() -> None:
    first, second = table(canary=canary("1.1.0", 2000)), table(canary=canary("1.2.0", 2000))
    users = [f"user-{number}" for number in range(20_000)]
    meets = [{user for user in users if ask(of, user=user).stage == "canary"} for of in (first, second)]
    for met in meets:
        assert abs(len(met) - 4000) < 4 * (20_000 * 0.2 * 0.8) ** 0.5
    assert abs(len(meets[0] & meets[1]) - 800) < 4 * 800**0.5


@given(st.text(min_size=1), st.booleans(), st.sampled_from([None, "1.0.0", "1.1.0", "1.2.0"]))
def test_what_is_quarantined_is_never_selected(user: str, allowed: bool, pinned: str | None) -> None:
    of = table(
        canary=canary("1.1.0", 10_000, users=[user] if allowed else []),
        dev=[entry("1.2.0")],
        draining=[entry("1.1.0", until=in_hours(1))],
        quarantined=[digest("1.1.0"), digest("1.2.0")],
    )
    assert ask(of, pinned, user=user).version == "1.0.0"


def test_a_quarantined_prod_is_refused() -> None:
    with pytest.raises(Refused, match=r"prod of clerk may not answer.*quarantined"):
        ask(table(quarantined=[digest("1.0.0")]))


def test_a_first_version_meets_no_one_who_did_not_ask() -> None:
    first = table(prod=None, canary=canary("1.0.0", 10_000, users=["u"]))
    with pytest.raises(Refused, match="nothing of clerk stands in prod"):
        ask(first, user="somebody")
    assert answer(ask(first, user="u")) == ("1.0.0", "canary", "allow-list")
    assert answer(ask(first, stage="canary")) == ("1.0.0", "canary", "explicit stage")


# --- loading


def test_a_table_is_loaded_from_a_file_or_a_store(tmp_path: Path, released: Any) -> None:
    published = released.publish("1.0.0")
    from_store = RoutingTable.load(released.store.url)
    from_file = RoutingTable.load(Path(released.store.url, "routing", "000000000001.json"))
    assert from_store.record == from_file.record == published
    assert from_store.agents() == ["clerk"]
    assert from_store.releases == {released.release("1.0.0")}
    with pytest.raises(Unavailable):
        RoutingTable.load(tmp_path / "nowhere")
    torn = tmp_path / "torn.json"
    torn.write_bytes(Path(released.store.url, "routing", "000000000001.json").read_bytes()[:-9])
    with pytest.raises(Invalid, match="not complete"):
        RoutingTable.load(torn)
