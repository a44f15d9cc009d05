from pathlib import Path

import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.evidence import Approval, Evidence, Request
from penstock.contracts.gate_result import GateResult
from penstock.contracts.routing_table import RoutingTable, TableSource
from penstock.errors import Conflict, Invalid, NotFound, Unavailable
from penstock.store.releases import ReleaseStore, table_name
from penstock.testing.example_release import BODY, example_release

AT = "2026-11-20T10:00:00.000000Z"
DIGEST = "sha256:" + "a" * 64


def table(generation: int, lineage: str = "one") -> RoutingTable:
    source = TableSource(commit=None, kind="promote", actor="ann@example.org")
    return RoutingTable(lineage=lineage, generation=generation, created_at=AT, source=source)


def path(store: ReleaseStore, name: str) -> Path:
    return Path(store.url, name)


def test_lineage_is_made_once(store: ReleaseStore) -> None:
    store.objects.create("probe", b"")
    with pytest.raises(NotFound, match=r"no lineage\.json"):
        store.lineage()
    first = store.lineage(create=True)
    assert store.lineage(create=True) == store.lineage() == first


def test_a_release_comes_back_as_it_was_put(store: ReleaseStore) -> None:
    release, body = example_release()
    name = store.put_release(release, {digest_bytes(body): body})
    assert name == release.digest
    assert store.put_release(release, {digest_bytes(body): body}) == name
    assert store.get_release(name) == release
    assert store.get_blob(release.prompt.body) == BODY


def test_a_release_that_needs_a_newer_engine_is_not_run_by_this_one(store: ReleaseStore) -> None:
    release, body = example_release()
    newer = release.model_copy(update={"min_engine": "0.2.0-rc.1"})
    name = store.put_release(newer, {digest_bytes(body): body})
    with pytest.raises(Unavailable, match=r"clerk@1\.0\.0 needs penstock 0\.2\.0-rc\.1, and this is 0\.1\.0"):
        store.get_release(name)


def test_a_release_without_its_blobs_is_refused(store: ReleaseStore) -> None:
    release, _ = example_release()
    store.lineage(create=True)
    with pytest.raises(NotFound, match="blob"):
        store.put_release(release, {})
    with pytest.raises(Invalid, match="another digest"):
        store.put_release(release, {release.prompt.body: b"other"})
    with pytest.raises(NotFound):
        store.get_release(release.digest)


@pytest.mark.parametrize("harm", [b"", b"{}", b'{"schema": 1}', b"null"])
def test_a_damaged_release_is_named(store: ReleaseStore, harm: bytes) -> None:
    release, body = example_release()
    name = store.put_release(release, {digest_bytes(body): body})
    file = path(store, f"releases/sha256/{name[7:]}.json")
    for data in (harm, file.read_bytes()[:-1], file.read_bytes().replace(b"1.0.0", b"1.0.1")):
        file.write_bytes(data)
        with pytest.raises(Invalid, match="damaged") as caught:
            store.get_release(name)
        assert name[7:] in caught.value.where


def test_a_changed_blob_is_named(store: ReleaseStore) -> None:
    name = digest_bytes(b"code")
    store.put_blob(name, b"code")
    path(store, f"blobs/sha256/{name[7:]}").write_bytes(b"evil")
    with pytest.raises(Invalid, match="damaged"):
        store.get_blob(name)


def test_a_version_is_bound_to_one_digest_for_good(store: ReleaseStore) -> None:
    store.lineage(create=True)
    assert store.named_release("a", "1.0.0") is None
    store.name_release("a", "1.0.0", DIGEST)
    store.name_release("a", "1.0.0", DIGEST)
    with pytest.raises(Conflict, match="was released as"):
        store.name_release("a", "1.0.0", "sha256:" + "b" * 64)
    assert store.named_release("a", "1.0.0") == DIGEST


def test_tables_are_created_once_and_the_highest_complete_one_counts(store: ReleaseStore) -> None:
    store.lineage(create=True)
    assert store.newest_table() is None
    assert store.highest_generation() == 0
    assert store.create_table(table(1)) is True
    assert store.create_table(table(1, "two")) is False
    store.create_table(table(2))
    whole = path(store, table_name(2)).read_bytes()
    for generation, data in {3: whole[: len(whole) // 2], 4: b"", 5: whole, 6: b'{"generation": 6}'}.items():
        path(store, table_name(generation)).write_bytes(data)
        newest = store.newest_table()
        assert newest is not None
        assert newest.generation == 2
        with pytest.raises(Invalid):
            store.table(generation)
    assert store.highest_generation() == 6
    assert store.newest_and_highest() == (store.table(2), 6)


def test_tables_of_which_none_can_be_read_are_no_empty_store(store: ReleaseStore) -> None:
    store.create_table(table(1))
    path(store, table_name(1)).write_bytes(b"{")
    with pytest.raises(Unavailable, match="no routing table"):
        store.newest_table()


def test_a_signature_beside_a_table_is_no_generation(store: ReleaseStore) -> None:
    store.create_table(table(1))
    store.objects.create("routing/000000000002.dsse.json", b"{}")
    assert store.generations() == [1]


def result(**fields: object) -> GateResult:
    values = {"gate": "unit", "outcome": "passed", "reason": "fine", "release": DIGEST, "inputs": {"release": DIGEST}}
    return GateResult.model_validate({**values, "startedAt": AT, "finishedAt": AT, "origin": "released", **fields})


def test_results_are_sealed_and_checked(store: ReleaseStore) -> None:
    sealed = result(extraOfANewerProgram={"kept": True}).sealed()
    with pytest.raises(Invalid, match="not sealed"):
        store.put_result(result())
    assert store.get_result(store.put_result(sealed)) == sealed
    file = path(store, f"results/sha256/{sealed.id[7:]}.json")
    file.write_bytes(file.read_bytes().replace(b"passed", b"failed"))
    with pytest.raises(Invalid, match="damaged"):
        store.get_result(sealed.id)
    with pytest.raises(NotFound):
        store.get_result(DIGEST)


def approval(evidence: str, at: str) -> Approval:
    return Approval(
        kind="approve",
        evidence=evidence,
        release=DIGEST,
        stage="canary",
        who="ann@example.org",
        at=at,
        expires_at=at,
        comment="",
    )


def test_evidence_approvals_and_reports_lie_together(store: ReleaseStore) -> None:
    evidence = Evidence(release=DIGEST, baseline=None, stage="canary", results=[DIGEST])
    name = store.put_evidence(evidence)
    assert store.get_evidence(name) == evidence
    early, late = (approval(name, at) for at in ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"))
    store.put_approval(late)
    store.put_approval(early)
    assert store.approvals(name) == [early, late]
    assert store.approvals(DIGEST) == []
    assert store.put_report(name, "note.md", b"# 1") is True
    assert store.put_report(name, "note.md", b"# 2") is False
    assert store.get_report(name, "note.md") == b"# 1"
    with pytest.raises(NotFound):
        store.get_report(name, "report.json")


def test_a_request_is_answered_once(store: ReleaseStore) -> None:
    asked = Request(action="promote", agent="a", version="1.0.0", release=DIGEST, stage="prod", who="a@b", at=AT)
    store.put_request(asked)
    assert store.requests() == [asked]
    assert store.answers() == {}
    assert store.put_answer(asked.digest, "done", "generation 3") is True
    assert store.put_answer(asked.digest, "refused", "no") is False
    assert store.answers()[asked.digest]["outcome"] == "done"
