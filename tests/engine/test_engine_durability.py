"""The engine on the real spool and database: what was answered is stored, and can be replayed from there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock.adapters.direct import DirectRuntime
from penstock.engine.call import RunCall, new_run_id
from penstock.engine.engine import Engine
from penstock.engine.journal import Journal
from penstock.engine.router import RuntimeRouter
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.store.spool import Spool
from penstock.store.spool_drain import SpoolDrain
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_declaration, example_release
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools


async def test_what_was_answered_is_stored_and_replays(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says("4 degrees"))
    tools = FakeTools(weather=lambda _: {"degrees": 4})
    engine = Engine(RuntimeRouter({"direct": example_declaration()}), provider, tools, spool)
    release, body = example_release(tools={"weather": {"sideEffects": "write"}})
    call = RunCall(release=release, prompt_body=body, runtime="direct", input="Bonn?", stage="prod", tenant="acme")
    handle = engine.start(call)
    result = await handle.result()
    assert result.finished

    on_disk = b"".join(file.read_bytes() for file in sorted((tmp_path / "spool").rglob("*.jsonl")))
    assert on_disk.count(b"\n") == len(handle.past_events) + 6 + 1 + 1  # payloads, the intent, the run

    database = open_database(f"sqlite:///{tmp_path}/store.db")
    runs, drain = RunStore(database), SpoolDrain(tmp_path / "spool", database, spool.executor, threaded=False)
    drain.drain_once()
    row = runs.run(result.run_id)
    assert row is not None
    assert (row["status"], row["usage"]) == ("finished", result.usage.as_document())
    assert runs.events(result.run_id) == handle.past_events
    [counted] = runs.live_runs("clerk", release.digest, "prod", "2000-01-01T00:00:00Z")
    assert counted.cost_usd == result.usage.cost_usd

    journal = Journal.from_entries(p.body for p in runs.payloads(result.run_id) if p.role == "journal")
    rig = Rig(DirectRuntime, "penstock", FakeProvider(), FakeTools())
    replay: dict[str, Any] = {"input": "Bonn?", "mode": "replay", "run_id": new_run_id(), "journal": journal}
    again = await rig.run(replace(call, runtime=rig.name, **replay))
    assert (again.output, again.usage) == (result.output, result.usage)
    spool.close()
    drain.close()
    database.close()
