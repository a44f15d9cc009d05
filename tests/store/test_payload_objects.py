from pathlib import Path

import pytest

from penstock.errors import Unavailable
from penstock.store.objects import StoreMissing
from penstock.store.payload_objects import RUNS, UPLOADS, PayloadLost, PayloadObjects, run_of
from penstock.store.run_day import NO_DAY, day_at, day_of, first_id
from penstock.testing.old_runs import moment, old_id


@pytest.fixture
def objects(tmp_path: Path) -> PayloadObjects:
    return PayloadObjects(str(tmp_path / "payloads"))


def test_a_payload_is_found_by_its_id_alone_and_by_its_own_tenant_alone(objects: PayloadObjects) -> None:
    run_id = old_id(3, 1)
    claim = objects.put("acme", run_id, "journal-2", b'"text"')
    assert claim.ref_id.startswith(f"{run_id}.journal-2.")
    assert run_of(claim.ref_id) == run_id
    assert objects.get(claim) == objects.find(claim.ref_id, "acme") == b'"text"'
    assert [objects.find(claim.ref_id, tenant) for tenant in ("other", None, "none")] == [None] * 3
    for nonsense in ("", "a.b.c", f"../{claim.ref_id}", f"{claim.ref_id}0", claim.ref_id.upper(), "x" * 300):
        assert objects.find(nonsense, "acme") is None


def test_the_same_content_of_two_runs_is_two_objects(objects: PayloadObjects) -> None:
    first, second = (objects.put(None, old_id(1, number), "input", b"1") for number in (1, 2))
    assert objects.put(None, old_id(1, 1), "input", b"1").digest == first.digest == second.digest
    objects.delete([first.object])
    assert objects.get(second) == b"1"
    with pytest.raises(PayloadLost, match="not there"):
        objects.get(first)


def test_what_is_not_what_was_put_is_not_given_out(objects: PayloadObjects, tmp_path: Path) -> None:
    claim = objects.put(None, old_id(1, 1), "input", b"1")
    (tmp_path / "payloads" / claim.object).write_bytes(b"2")
    with pytest.raises(PayloadLost, match="not what was put"):
        objects.get(claim)
    assert objects.find(claim.ref_id, None) is None


def test_days_and_the_objects_of_a_run_are_listed(objects: PayloadObjects) -> None:
    with pytest.raises(StoreMissing):
        objects.days(RUNS)
    old, young, upload = old_id(40, 1), old_id(2, 2), old_id(2, 3)
    for owner, role in ((old, "input"), (old, "output"), (young, "input"), (upload, "upload")):
        objects.put("acme", owner, role, role.encode())
    assert objects.days(RUNS) == [day_of(old), day_of(young)]
    assert objects.days(UPLOADS) == [day_of(upload)]
    assert len(objects.of_run(old)) == 2
    assert objects.of_run(old_id(40, 9)) == []
    objects.delete(objects.of_run(old))
    assert objects.days(RUNS) == [day_of(young)]
    objects.delete(objects.of_run(old))
    assert objects.put("acme", old, "input", b"again").size_bytes == 5


def test_files_are_their_owners_alone(objects: PayloadObjects, tmp_path: Path) -> None:
    claim = objects.put(None, old_id(1, 1), "input", b"1")
    assert (tmp_path / "payloads" / claim.object).stat().st_mode & 0o077 == 0


def test_a_store_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "payloads").write_text("a file")
    with pytest.raises(Unavailable, match="payload store failed"):
        PayloadObjects(str(tmp_path / "payloads")).put(None, old_id(1, 1), "input", b"1")


def test_a_run_id_says_its_day() -> None:
    assert day_of("0198f6b2-0000-7abc-8def-0123456789ab") == "2025/08/29"
    assert day_of(old_id(10, 1)) == day_at(moment(10))
    assert day_of("r") == day_of("0198f6b2-0000-4abc-8def-0123456789ab") == NO_DAY
    assert first_id(moment(1.001)) < old_id(1, 0) < first_id(moment(0.999))
    assert len(first_id(moment(1))) == len(old_id(1, 1))
