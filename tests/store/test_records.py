import logging
from pathlib import Path

import pytest

from penstock.contracts.evidence import Approval, Evidence, Request
from penstock.contracts.gate_result import GateResult
from penstock.store.database import Database, open_database
from penstock.store.records import Records
from penstock.store.releases import ReleaseStore

RELEASE = "sha256:" + "a" * 64


def result(hour: int, outcome: str = "passed", **fields: object) -> GateResult:
    at = f"2026-11-20T{hour:02}:00:00.000000Z"
    values = {
        "gate": "unit", "outcome": outcome, "reason": "so it is", "release": RELEASE, "startedAt": at, "finishedAt": at,
        "inputs": {"release": RELEASE}, "origin": "released",
    }  # fmt: skip
    return GateResult.model_validate({**values, **fields}).sealed()


@pytest.fixture
def records(store: ReleaseStore, database: Database) -> Records:
    store.lineage(create=True)
    return Records(store, database)


def test_results_of_a_release_come_oldest_first(records: Records) -> None:
    for hour in (3, 1, 2):
        records.put_result(result(hour))
    records.put_result(result(1, release="sha256:" + "b" * 64))
    assert [found.finished_at[11:13] for found in records.results(RELEASE)] == ["01", "02", "03"]


def test_what_another_machine_stored_is_found(records: Records, store: ReleaseStore) -> None:
    records.put_result(result(1))
    store.put_result(result(2))
    assert len(records.results(RELEASE)) == 2


def test_errored_results_and_other_inputs_are_not_reused(records: Records) -> None:
    records.put_result(result(1, "failed"))
    records.put_result(result(2, "errored"))
    records.put_result(result(3, inputs={"release": "other"}))
    records.put_result(result(4, origin="draft"))
    found = records.reusable("unit", result(1).inputs_digest)
    assert found is not None
    assert found.outcome == "failed"
    assert records.reusable("schema", result(1).inputs_digest) is None


def test_a_damaged_record_does_not_count_and_is_named(
    records: Records, store: ReleaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    name = store.put_result(result(1))
    Path(store.url, "results", "sha256", f"{name[7:]}.json").write_bytes(b"{")
    store.put_result(result(2))
    with caplog.at_level(logging.WARNING):
        assert len(records.results(RELEASE)) == 1
    assert name[7:] in caplog.text


def test_the_index_is_rebuilt_from_the_store(records: Records, store: ReleaseStore, tmp_path: Path) -> None:
    records.put_result(result(1))
    evidence = Evidence(release=RELEASE, baseline=None, stage="canary", results=[result(1).id])
    records.put_evidence(evidence)
    fresh = Records(store, open_database(f"sqlite:///{tmp_path / 'fresh.db'}"))
    assert fresh.rebuild() == 2
    assert fresh.rebuild() == 2
    assert fresh.results(RELEASE) == records.results(RELEASE)
    assert fresh.evidence(RELEASE) == [evidence]


def test_records_are_kept_while_the_database_is_away(store: ReleaseStore, tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    records = Records(store, open_database(f"sqlite:///{file}"))
    away = file.rename(tmp_path / "away.db")
    records.put_result(result(1))
    away.rename(file)
    assert len(records.results(RELEASE)) == 1


def test_requests_stay_open_until_they_are_answered(records: Records) -> None:
    asked = Request(action="promote", agent="a", version="1.0.0", release=RELEASE, stage="prod", who="a@b", at="1")
    other = asked.model_copy(update={"at": "2"})
    records.put_request(other)
    records.put_request(asked)
    assert records.open_requests() == [asked, other]
    records.put_answer(asked.digest, "done", "generation 4")
    assert records.open_requests() == [other]


def test_approvals_are_those_of_the_evidence(records: Records) -> None:
    approval = Approval(
        kind="approve", evidence=RELEASE, release=RELEASE, stage="prod", who="a@b", at="1", expires_at="2", comment="ok"
    )
    records.put_approval(approval)
    assert records.approvals(RELEASE) == [approval]
