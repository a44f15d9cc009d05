import pytest

from penstock.engine.journal import JOURNAL_SCHEMA, Journal, JournalEntry, Occurrences
from penstock.errors import Invalid


def entry(door: str, digest: str, n: int = 1) -> JournalEntry:
    return JournalEntry(door, "main", digest, n, {"messages": []}, {"result": n})  # type: ignore[arg-type]


def test_reads_what_it_wrote() -> None:
    journal = Journal({"case": "one", "input": "x"})
    journal.add(entry("model", "sha256:a"))
    journal.add(entry("tool", "sha256:b", 2))
    again = Journal.from_jsonl(journal.to_jsonl())
    assert again.header == {"schema": JOURNAL_SCHEMA, "case": "one", "input": "x"}
    assert again.entries == journal.entries
    assert again.find("main", "sha256:b", 2) == entry("tool", "sha256:b", 2)
    assert again.find("main", "sha256:b", 1) is None


def test_order_in_which_parallel_calls_ended_leaves_no_trace() -> None:
    first, second = Journal(), Journal()
    for digest in ("a", "b", "c"):
        first.add(entry("tool", digest))
    for digest in ("c", "a", "b"):
        second.add(entry("tool", digest))
    assert first.to_jsonl() == second.to_jsonl()


def test_every_broken_line_is_named() -> None:
    data = b'{"schema": "' + JOURNAL_SCHEMA.encode() + b'"}\n{"door": "window"}\n{half\n'
    with pytest.raises(Invalid) as refused:
        Journal.from_jsonl(data, path="case.jsonl")
    assert [(fault.path, fault.line) for fault in refused.value.faults] == [("case.jsonl", 2), ("case.jsonl", 3)]


@pytest.mark.parametrize("data", [b"", b'{"schema": "another/v1"}\n', b"[]\n"])
def test_what_is_no_journal_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        Journal.from_jsonl(data)


def test_occurrences_count_by_scope_and_digest() -> None:
    count = Occurrences()
    assert [count.next("main", "a"), count.next("main", "a"), count.next("main", "b"), count.next("sub", "a")] == [
        1,
        2,
        1,
        1,
    ]
