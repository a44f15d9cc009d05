"""Payloads over the threshold travel as references, all of them, and a store that is away never leaves half a run."""

from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.engine.call import RunCall
from penstock.engine.claim_check import ClaimCheck
from penstock.engine.engine import Engine
from penstock.engine.journal import Journal
from penstock.engine.router import RuntimeRouter
from penstock.errors import Unavailable
from penstock.store.database import open_database
from penstock.store.depots import Depots
from penstock.store.payload_objects import PayloadObjects
from penstock.store.runs import RunStore
from penstock.store.spool import Spool
from penstock.store.spool_drain import SpoolDrain
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_declaration, example_release
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools
from penstock.testing.memory_sink import MemorySink

LARGE = "x" * 2_000
OVER = 1_000


class World:
    """An engine with a claim check on a sink in memory."""

    def __init__(self, folder: Path, provider: FakeProvider, tools: FakeTools | None = None) -> None:
        self.sink = MemorySink()
        self.objects = PayloadObjects(str(folder / "payloads"))
        self.claims = ClaimCheck(self.objects, OVER)
        router = RuntimeRouter({"direct": example_declaration()})
        self.engine = Engine(router, provider, tools or FakeTools(), self.sink, claims=self.claims)

    def call(self, **fields: Any) -> RunCall:
        release, body = example_release(tools={"weather": {}})
        asked: dict[str, Any] = {"input": LARGE, "tenant": "acme", "stage": "prod", **fields}
        return RunCall(release=release, prompt_body=body, runtime="direct", **asked)

    def data(self, type_: str) -> dict[str, Any]:
        [found] = [event["data"] for event in self.sink.events() if event["type"] == type_]
        return dict(found)


def payload_sizes(world: World) -> dict[str, int | None]:
    """Reference -> how many bytes the payload store holds for it, None where the record has the body itself."""
    return {one["ref"]: one.get("claim", {}).get("bytes") for one in world.sink.of("payload")}


async def test_all_large_payloads_are_claimed_and_events_say_where_they_are(tmp_path: Path) -> None:
    provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says(LARGE))
    world = World(tmp_path, provider, FakeTools(weather=lambda _: {"degrees": 4}))
    result = await world.engine.start(world.call()).result()
    assert result.output == LARGE
    sizes = payload_sizes(world)
    assert all("body" not in one for one in world.sink.of("payload") if one.get("claim"))
    assert {ref for ref, size in sizes.items() if size} == {"input", "messages", "journal-1", "journal-3", "output"}
    assert sizes["journal-2"] is None
    assert sizes["input"] == len(LARGE) + 2
    started, finished = world.data("run.started"), world.data("run.finished")
    ref_ids = [started["input"]["contextRefId"], started["messages"]["contextRefId"], finished["resultRefId"]]
    found = [world.objects.find(ref_id, "acme") for ref_id in ref_ids]
    assert [len(data or b"") for data in found] == [sizes["input"], sizes["messages"], sizes["output"]]
    assert "resultRefId" not in world.data("tool.finished")
    said = [one["data"].get("resultRefId") for one in world.sink.events() if one["type"] == "llm.finished"]
    assert all(world.objects.find(ref_id, "acme") for ref_id in said)
    row = world.sink.of("run")[0]["run"]
    assert (row["contextRefId"], row["resultRefId"]) == (ref_ids[0], ref_ids[2])
    assert result.as_document()["resultRefId"] == ref_ids[2]


async def test_a_large_result_of_a_tool_has_its_id_in_the_event(tmp_path: Path) -> None:
    tools = FakeTools(weather=lambda _: {"degrees": 4, "report": LARGE})
    world = World(tmp_path, FakeProvider(asks(("weather", {"town": "Bonn"})), says("ok")), tools)
    await world.engine.start(world.call(input="Bonn?")).result()
    kept = world.objects.find(world.data("tool.finished")["resultRefId"], "acme")
    assert kept is not None
    assert LARGE.encode() in kept


@pytest.mark.parametrize("mode", ["dry", "shadow"])
async def test_a_run_that_keeps_nothing_claims_nothing(tmp_path: Path, mode: Any) -> None:
    world = World(tmp_path, FakeProvider(says(LARGE)))
    result = await world.engine.start(world.call(mode=mode)).result()
    assert (result.output, result.result_ref_id) == (LARGE, None)
    assert not (tmp_path / "payloads").exists()


async def test_the_object_is_there_before_the_record(tmp_path: Path) -> None:
    world = World(tmp_path, FakeProvider(says(LARGE)))
    append = world.sink.append

    def checked(record: dict[str, Any]) -> None:
        if "claim" in record:
            assert (Path(world.objects.url) / record["claim"]["object"]).is_file()
        append(record)

    world.sink.append = checked  # type: ignore[method-assign]
    assert (await world.engine.start(world.call()).result()).finished
    assert any("claim" in record for record in world.sink.of("payload"))


async def test_a_run_whose_input_cannot_be_stored_is_rejected(tmp_path: Path) -> None:
    provider = FakeProvider(says("never asked"))
    world = World(tmp_path, provider)
    (tmp_path / "payloads").write_text("in the way")
    with pytest.raises(Unavailable, match="payload store failed"):
        await world.engine.start(world.call()).result()
    assert provider.calls == []
    assert [one["type"] for one in world.sink.events()][-1] == "run.rejected"
    assert (world.sink.of("payload"), world.sink.of("run")[0]["run"]["status"]) == ([], "rejected")
    assert world.sink.committed == len(world.sink.records)


@pytest.mark.parametrize("large", ["tool", "output"])
async def test_a_run_whose_result_cannot_be_stored_fails_and_says_why(tmp_path: Path, large: str) -> None:
    tools = FakeTools(weather=lambda _: {"degrees": 4, "report": LARGE if large == "tool" else ""})
    provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says(LARGE))
    world = World(tmp_path, provider, tools)
    (tmp_path / "payloads").write_text("in the way")
    with pytest.raises(Unavailable, match="payload store failed"):
        await world.engine.start(world.call(input="Bonn?")).result()
    assert len(provider.calls) == (1 if large == "tool" else 2)
    row = world.sink.of("run")[0]["run"]
    assert (row["status"], row["error"]["code"], "resultRefId" in row) == ("failed", "runtime", False)
    assert "was not stored: the payload store failed" in row["error"]["what"]
    assert [one["type"] for one in world.sink.events()][-1] == "run.failed"
    assert not any("claim" in one or one["role"] == "output" for one in world.sink.of("payload"))


async def test_small_payloads_need_no_payload_store(tmp_path: Path) -> None:
    world = World(tmp_path, FakeProvider(says("small")))
    (tmp_path / "payloads").write_text("in the way")
    result = await world.engine.start(world.call(input="small")).result()
    assert result.finished
    assert set(payload_sizes(world).values()) == {None}


async def test_a_stored_run_is_read_whole_and_replays(tmp_path: Path) -> None:
    provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says(LARGE))
    world = World(tmp_path, provider, FakeTools(weather=lambda _: {"degrees": 4}))
    call = world.call()
    result = await world.engine.start(call).result()
    database = open_database(f"sqlite:///{tmp_path}/store.db")
    runs = RunStore(database)
    runs.ingest(world.sink.records)
    with pytest.raises(Unavailable, match="payload store that was not named"):
        runs.payloads(call.run_id)
    database.depots = Depots(world.objects.url, str(tmp_path / "archive"))
    bodies = {one.ref: one.body for one in runs.payloads(call.run_id)}
    assert (bodies["input"], bodies["output"], bodies["messages"][-1]["content"]) == (LARGE, LARGE, LARGE)
    journal = Journal.from_entries(one.body for one in runs.payloads(call.run_id, ("journal",)))
    rig = Rig(DirectRuntime, "penstock", FakeProvider(), FakeTools())
    release, body = example_release(tools={"weather": {}})
    replay = RunCall(
        release=release, prompt_body=body, runtime=rig.name, input=LARGE, stage="prod", mode="replay", journal=journal
    )
    again = await rig.run(replay)
    assert (again.output, again.usage) == (result.output, result.usage)
    database.close()


def test_nothing_of_a_payload_is_in_the_spool(tmp_path: Path) -> None:
    """The drain takes claims in as they are written."""
    spool = Spool(tmp_path / "spool")
    objects = PayloadObjects(str(tmp_path / "payloads"))
    claim = objects.put(None, "run", "input", LARGE.encode())
    spool.append({"kind": "payload", "runId": "run", "ref": "input", "role": "input", "claim": claim.as_document()})
    spool.commit_blocking()
    assert LARGE.encode() not in b"".join(file.read_bytes() for file in (tmp_path / "spool").rglob("*.jsonl"))
    database = open_database(f"sqlite:///{tmp_path}/store.db")
    drain = SpoolDrain(tmp_path / "spool", database, spool.executor, threaded=False)
    assert drain.drain_once() == 1
    assert drain.drain_once() == 0
    spool.close()
    drain.close()
    database.close()
