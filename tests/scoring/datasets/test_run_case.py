from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.canonical import digest_bytes
from penstock.contracts.dataset import Case
from penstock.errors import Conflict, Invalid, NotFound, Refused
from penstock.governance import redaction
from penstock.governance.redaction import NotRedacted
from penstock.scoring.datasets.dataset_files import case_lines
from penstock.scoring.datasets.run_case import RunRecord, require_addable, run_case, said_tags
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

TOOLS = {"weather": {}, "order": {"sideEffects": "write"}}
BONN = {"town": "Bonn"}
HISTORY = ({"role": "user", "content": "I am jane@example.org"}, {"role": "assistant", "content": "Hello"})


def weather(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": 4}


def order(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": len(arguments["town"]), "by": "jane@example.org"}


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[RunStore]:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    yield RunStore(database)
    database.close()


async def stored(runs: RunStore, *steps: Any, agent: Mapping[str, Any] | None = None, **fields: Any) -> str:
    """The id of a run that was really made, and stored."""
    rig = Rig(DirectRuntime, "penstock", FakeProvider(*steps), FakeTools(weather=weather, order=order))
    result = await rig.run(rig.call(agent, tools=TOOLS, **fields))
    runs.ingest(rig.sink.records)
    return result.run_id


async def test_a_run_becomes_a_redacted_case(runs: RunStore) -> None:
    calls = asks(("weather", BONN), ("order", BONN), ("order", {"town": "Ulm"}))
    run_id = await stored(
        runs,
        calls,
        says("mail to jane@example.org"),
        agent={"mode": "conversational"},
        input="Call me: 0171 1234567",
        history=HISTORY,
    )
    record = RunRecord.read(runs, run_id)
    done = run_case(record, expected=record.output, has_expected=True, context=True)
    assert done.value == {
        "id": f"run-{digest_bytes(run_id.encode())[7:19]}",
        "input": "Call me: [PHONE]",
        "expected": "mail to [EMAIL]",
        "context": [
            {"tool": "weather", "result": {"degrees": 4}},
            {"tool": "order", "result": {"degrees": 4, "by": "[EMAIL]"}},
            {"tool": "order", "result": {"degrees": 3, "by": "[EMAIL]"}},
        ],
        "fixtures": {"order": [{"degrees": 4, "by": "[EMAIL]"}, {"degrees": 3, "by": "[EMAIL]"}]},
        "history": [{"role": "user", "content": "I am [EMAIL]"}, {"role": "assistant", "content": "Hello"}],
        "tags": ["from-run"],
        "provenance": f"run {digest_bytes(run_id.encode())}",
    }
    assert done.kinds == {"PHONE": 1, "EMAIL": 6}
    assert Case.model_validate(done.value).provenance == record.provenance
    assert run_id not in str(done.value)


async def test_a_plain_run_becomes_a_plain_case(runs: RunStore) -> None:
    record = RunRecord.read(runs, await stored(runs, says("done")))
    done = run_case(record, name="mine")
    assert done.value == {"id": "mine", "input": "hello", "tags": ["from-run"], "provenance": record.provenance}
    assert done.found == ()


async def test_what_is_no_live_run_or_has_no_payload_is_refused(runs: RunStore) -> None:
    with pytest.raises(NotFound, match="no such run"):
        RunRecord.read(runs, "nobody")
    evaluated = await stored(runs, says("done"), mode="eval")
    with pytest.raises(Refused, match="mode eval"):
        RunRecord.read(runs, evaluated)
    deleted = await stored(runs, says("done"))
    runs.delete_payloads(deleted)
    with pytest.raises(NotFound, match="payloads"):
        RunRecord.read(runs, deleted)


async def test_what_cannot_be_redacted_becomes_no_case(runs: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    record = RunRecord.read(runs, await stored(runs, says("done")))

    def broken(_: str) -> Any:
        raise ValueError("hello")

    monkeypatch.setitem(redaction._FINDERS, "EMAIL", broken)
    with pytest.raises(NotRedacted) as error:
        run_case(record)
    assert "hello" not in str(error.value)
    monkeypatch.setitem(redaction._FINDERS, "EMAIL", lambda text: [(0, len(text))])  # what it leaves it finds again
    with pytest.raises(NotRedacted):
        run_case(record)


def test_ids_and_runs_that_are_there_and_inputs_that_do_not_fit_are_refused() -> None:
    case = {"id": "a", "input": "[EMAIL]", "provenance": "run sha256:1"}
    before = case_lines([{"id": "b", "input": "x"}])
    require_addable("cases.jsonl", before, case, {"type": "string"})
    with pytest.raises(Conflict, match="id 'b'"):
        require_addable("cases.jsonl", before, {**case, "id": "b"}, {})
    with pytest.raises(Conflict, match="the run is in the dataset already") as error:
        require_addable("cases.jsonl", before + case_lines([{**case, "id": "other"}]), case, {})
    assert (error.value.where, error.value.now) == ("cases.jsonl:2", "case 'other'")
    with pytest.raises(Invalid) as invalid:
        require_addable("cases.jsonl", before, case, {"type": "string", "minLength": 30})
    assert [fault.pointer for fault in invalid.value.faults] == ["input"]
    with pytest.raises(Invalid, match="is no JSON"):
        require_addable("cases.jsonl", b"{\n", case, {})


@pytest.mark.parametrize(
    ("scores", "ratings", "tags"),
    [
        ({}, [], []),
        ({"quality": 0.49, "tone": 0.5}, [], ["quality-low", "tone-high"]),
        ({}, [1.0, -1.0, -0.5], ["rated-down"]),
        ({"quality": 1.0}, [0.25], ["quality-high", "rated-up"]),
        ({}, [1.0, -1.0], []),
    ],
)
def test_what_was_said_of_a_run_becomes_slices(scores: dict[str, float], ratings: list[float], tags: list[str]) -> None:
    assert said_tags(scores, ratings) == tags
