"""Moves of the lifecycle and plans of promotions, one by one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from penstock.contracts.canonical import digest
from penstock.contracts.evidence import Approval
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.contracts.stages import AllowList, StagesSpec
from penstock.errors import Refused
from penstock.gates.evidence import EvidenceView
from penstock.release import lifecycle
from penstock.release.canary_step import Share
from penstock.release.condition import OVERRIDABLE
from penstock.release.people import People
from penstock.release.plan import Plan, Situation, plan, traffic

PEOPLE = People(
    "qa", frozenset({"ada@x.org"}), frozenset({"ben@x.org", "ada@x.org"}), frozenset({"mia@x.org"}), frozenset()
)
NOBODY = AllowList.model_validate({})
AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
PIPELINE = Pipeline.model_validate(
    {
        "apiVersion": "penstock.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "default"},
        "spec": {
            "stages": {
                "dev": {"automatic": True, "gates": [{"gate": "quality"}]},
                "canary": {"approvals": [{"from": "owners"}]},
                "prod": {"gates": [{"gate": "quality"}], "approvals": [{"from": "releaseManagers"}]},
            },
            "canary": {"steps": [{"percent": 20.0}]},
        },
    }
)


def digest_of(version: str) -> str:
    return digest(["release", version])


def approval(who: str, version: str, stage: Stage, **changes: Any) -> Approval:
    found = Approval(
        kind="approve",
        evidence=digest([version, stage]),
        release=digest_of(version),
        stage=stage,
        who=who,
        at="2026-11-20T09:00:00Z",
        expires_at="2026-11-27T09:00:00Z",
        comment="good",
    )
    return found.model_copy(update=changes)


def situation(
    spec: StagesSpec, version: str, stage: Stage, *, passed: bool = True, decisions: tuple[Approval, ...] = ()
) -> Situation:
    view = SimpleNamespace(unmet=[] if passed else ["gate quality: failed"], digest=digest([version, stage]))
    release = SimpleNamespace(digest=digest_of(version))
    return Situation(
        "helper",
        version,
        stage,
        "c" * 40,
        None,
        spec,
        PIPELINE,
        PEOPLE,
        AT,
        release=cast(Release, release),
        runtime="direct",
        authors=frozenset({"ada@x.org"}),
        view=cast(EvidenceView, view),
        decisions=decisions,
    )


def planned(
    spec: StagesSpec, version: str, stage: Stage, *, passed: bool = True, decisions: tuple[Approval, ...] = ()
) -> Plan:
    return plan(situation(spec, version, stage, passed=passed, decisions=decisions))


def standing_spec() -> StagesSpec:
    """1.0.0 previous, 1.1.0 prod, 1.2.0 canary, 1.3.0 dev."""
    spec = lifecycle.EMPTY
    for version in ("0.9.0", "1.0.0", "1.1.0"):
        spec = lifecycle.to_dev(spec, lifecycle.standing(version, "direct"))
        spec = lifecycle.to_canary(spec, version, Share(1, 2000, NOBODY), "2026-11-20T10:00:00Z")
        spec = lifecycle.to_prod(spec, version, until="2026-11-21T10:00:00Z", now="")
    for version in ("1.2.0", "1.3.0"):
        spec = lifecycle.to_dev(spec, lifecycle.standing(version, "direct"))
    return lifecycle.to_canary(spec, "1.2.0", Share(1, 2000, NOBODY), "2026-11-20T10:00:00Z")


def test_prod_leaves_previous_and_draining_and_the_one_before_is_deprecated() -> None:
    spec = standing_spec()
    assert lifecycle.places(spec) == {
        "1.3.0": ["dev"],
        "1.2.0": ["canary"],
        "1.1.0": ["prod"],
        "1.0.0": ["previous"],
        "0.9.0": ["deprecated"],
    }
    assert [one.version for one in spec.draining] == ["0.9.0", "1.0.0"]


def test_what_has_drained_is_no_longer_named() -> None:
    spec = lifecycle.to_prod(standing_spec(), "1.2.0", until="2026-11-23T10:00:00Z", now="2026-11-22T10:00:00Z")
    assert [(one.version, one.until) for one in spec.draining] == [("1.1.0", "2026-11-23T10:00:00Z")]


def test_a_rollback_of_prod_ends_the_canary_and_leaves_no_previous() -> None:
    spec = lifecycle.roll_back_prod(standing_spec())
    assert spec.prod is not None
    assert (spec.prod.version, spec.previous, spec.canary) == ("1.0.0", None, None)
    assert [one.version for one in spec.dev] == ["1.3.0", "1.1.0", "1.2.0"]
    assert [one.version for one in spec.draining] == ["0.9.0"]


def test_a_rollback_to_an_older_version_passes_previous_over() -> None:
    spec = lifecycle.roll_back_prod(standing_spec(), lifecycle.standing("0.9.0", "direct"))
    assert lifecycle.place_of(spec, "0.9.0") == "prod"
    assert lifecycle.place_of(spec, "1.0.0") == "deprecated"


@pytest.mark.parametrize(
    "move", [lifecycle.roll_back_prod, lifecycle.roll_back_canary, lifecycle.unhold, lifecycle.thaw]
)
def test_a_move_that_makes_no_sense_is_refused(move: Callable[[StagesSpec], StagesSpec]) -> None:
    with pytest.raises(Refused):
        move(lifecycle.EMPTY)


def test_prod_is_not_disabled_but_rolled_back() -> None:
    with pytest.raises(Refused, match="stands in prod: roll back"):
        lifecycle.disable(standing_spec(), "1.1.0")
    assert lifecycle.place_of(lifecycle.disable(standing_spec(), "1.2.0"), "1.2.0") == "disabled"


def test_settle_places_everything_and_loses_nothing() -> None:
    before = standing_spec()
    after = lifecycle.roll_back_prod(before)
    changes = {key: getattr(after, key) for key in ("prod", "canary", "previous", "dev", "draining")}
    assert lifecycle.settle(before, {**changes, "deprecated": after.deprecated, "disabled": []}, [], []) == after
    # Somebody promoted the canary meanwhile and a new version came: the rollback stands, the new one is kept.
    moved = lifecycle.to_prod(before, "1.2.0", until="2026-11-21T10:00:00Z", now="")
    moved = lifecycle.to_dev(moved, lifecycle.standing("1.4.0", "direct"))
    settled = lifecycle.settle(moved, changes, ["sha256:" + "0" * 64], [])
    assert settled.prod == after.prod
    assert lifecycle.place_of(settled, "1.4.0") == "dev"
    assert {len(at) for at in lifecycle.places(settled).values()} == {1}
    assert lifecycle.places(settled).keys() == lifecycle.places(moved).keys()


def test_every_unmet_condition_is_one_sentence() -> None:
    spec = lifecycle.hold(standing_spec(), "mia@x.org", "2026-11-20T10:00:00Z", "provider down")
    spec = lifecycle.quarantine(lifecycle.freeze(spec), digest_of("1.2.0"))
    here = replace(situation(spec, "1.2.0", "prod", passed=False), obstacles=("tools/search@1.0.0 is disabled",))
    unmet = plan(here).unmet
    assert [one.kind for one in unmet] == ["obstacle", "status", "hold", "quarantine", "gate", "approval"]
    assert "held by mia@x.org" in unmet[2].sentence
    assert "0 of 1 approvals by a release manager (mia@x.org)" in unmet[5].sentence


def test_what_an_override_lifts() -> None:
    free = planned(standing_spec(), "1.2.0", "prod", passed=False)
    assert not free.ready
    assert free.blocking(OVERRIDABLE) == []
    held = lifecycle.hold(standing_spec(), "mia@x.org", "2026-11-20T10:00:00Z", "no")
    assert len(planned(held, "1.2.0", "prod", passed=False).blocking(OVERRIDABLE)) == 1
    wrong_place = planned(standing_spec(), "1.3.0", "prod", passed=False).blocking(OVERRIDABLE)
    assert wrong_place == ["1.3.0 stands in dev: only the canary goes to prod"]


@pytest.mark.parametrize(
    ("decision", "why"),
    [
        (approval("ada@x.org", "1.3.0", "canary"), "an author of the version may not approve it"),
        (approval("eve@x.org", "1.3.0", "canary"), "not one of those who are asked"),
        (approval("ben@x.org", "1.3.0", "canary", expires_at="2026-11-20T09:30:00Z"), "it expired at"),
        (approval("ben@x.org", "1.3.0", "canary", kind="reject", comment="no!"), "ben@x.org rejected it: no!"),
    ],
)
def test_an_approval_that_does_not_count(decision: Approval, why: str) -> None:
    unmet = planned(standing_spec(), "1.3.0", "canary", decisions=(decision,)).unmet
    assert any(why in one.sentence for one in unmet)


def test_the_newest_decision_of_a_person_counts() -> None:
    first = approval("ben@x.org", "1.3.0", "canary", kind="reject")
    later = approval("ben@x.org", "1.3.0", "canary", at="2026-11-20T09:10:00Z")
    assert planned(standing_spec(), "1.3.0", "canary", decisions=(later, first)).ready
    back = approval("ben@x.org", "1.3.0", "canary", kind="reject", at="2026-11-20T09:20:00Z")
    assert not planned(standing_spec(), "1.3.0", "canary", decisions=(first, later, back)).ready


def test_traffic_and_diff_are_shown() -> None:
    document = planned(standing_spec(), "1.3.0", "canary", decisions=(approval("ben@x.org", "1.3.0", "canary"),))
    assert document.after is not None
    assert "+  canary: {version: 1.3.0" in document.text_diff
    assert traffic(document.after) == {
        "prod": "1.1.0 80 %",
        "canary": "1.3.0 20 %",
        "dev": "1.2.0 on request only",
    }
    first = standing_spec().model_copy(update={"prod": None})
    assert traffic(first)["canary"] == "1.2.0 on request only"


def test_expiry_is_to_the_second() -> None:
    late = approval("ben@x.org", "1.3.0", "canary", expires_at=(AT + timedelta(seconds=1)).isoformat())
    assert planned(standing_spec(), "1.3.0", "canary", decisions=(late,)).ready
