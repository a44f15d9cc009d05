"""The stages file: equal stages are equal bytes, and every text in it comes back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.contracts.stages import StagesSpec
from penstock.errors import Invalid
from penstock.release import lifecycle
from penstock.release.move import Move
from penstock.release.stages_file import read_stages, write_stages


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.booleans())
def test_any_reason_comes_back(reason: str, frozen: bool) -> None:
    spec = lifecycle.hold(lifecycle.EMPTY, "mia@x.org", "2026-11-20T10:00:00Z", reason)
    spec = lifecycle.freeze(spec) if frozen else spec
    written = write_stages("helper", spec)
    assert read_stages(written, "stages") == spec
    assert write_stages("helper", read_stages(written, "stages")) == written


@pytest.mark.parametrize("runtime", ["no", "null", "direct", "y", "a1"])
def test_a_name_that_yaml_would_misread_stays_a_name(runtime: str) -> None:
    spec = lifecycle.to_dev(lifecycle.EMPTY, lifecycle.standing("1.0.0", runtime))
    assert read_stages(write_stages("helper", spec), "stages").dev[0].runtime == runtime


def test_the_file_is_the_one_of_the_contract() -> None:
    document = {
        "dev": [{"version": "1.2.0", "runtime": "agno"}],
        "canary": {
            "version": "1.1.0",
            "runtime": "langgraph",
            "step": 2,
            "weightBp": 500,
            "since": "2026-11-20T10:00:00Z",
        },
        "prod": {"version": "1.0.0", "runtime": "langgraph"},
        "deprecated": ["0.8.0"],
    }
    assert write_stages("testcase-generator", StagesSpec.model_validate(document)).decode() == (
        "apiVersion: penstock.dev/v1\n"
        "kind: Stages\n"
        "metadata: {name: testcase-generator}\n"
        "spec:\n"
        "  status: active\n"
        "  dev:\n"
        "    - {version: 1.2.0, runtime: agno}\n"
        "  canary: {version: 1.1.0, runtime: langgraph, step: 2, weightBp: 500, "
        'since: "2026-11-20T10:00:00Z", allow: {tenants: [], users: [], sessions: []}}\n'
        "  prod: {version: 1.0.0, runtime: langgraph}\n"
        "  previous: null\n"
        "  draining: []\n"
        "  deprecated:\n"
        "    - 0.8.0\n"
        "  disabled: []\n"
        "  quarantined: []\n"
        "  hold: null\n"
    )


def test_what_is_no_stages_file_is_said() -> None:
    with pytest.raises(Invalid, match="is no stages file"):
        read_stages(b"kind: [", "stages")
    with pytest.raises(Invalid, match="is no stages file"):
        read_stages(b"\xff", "stages")
    assert read_stages(None, "stages") == lifecycle.EMPTY


def test_a_move_comes_back_from_its_message() -> None:
    from penstock.registry.commit import Commit, read_trailers

    move = Move(
        "promote",
        "helper",
        "1.1.0-rc.1",
        "canary",
        evidence="sha256:" + "a" * 64,
        approved_by=("Ben <ben@x.org>",),
        approvals=("sha256:" + "b" * 64,),
        reason="a\nb",
    )
    message = move.message()
    assert message.startswith("Promote helper@1.1.0-rc.1 canary [skip ci]\n\n")
    commit = Commit("c", (), "n", "m", "t", message, read_trailers(message))
    found = Move.of(commit, "helper")
    assert found is not None
    assert (found.version, found.stage, found.evidence, found.approvals) == (
        move.version,
        move.stage,
        move.evidence,
        move.approvals,
    )
    assert found.reason == "a b"
    assert Move.of(commit, "other") is None
