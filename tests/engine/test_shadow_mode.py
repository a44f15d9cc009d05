"""Mode shadow: the doors of a run that answers nobody and changes nothing."""

import asyncio
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.canonical import digest_bytes
from penstock.engine.call import RunCall, new_run_id
from penstock.engine.engine import Engine
from penstock.engine.journal import Journal
from penstock.engine.router import RUNTIMES, RuntimeRouter
from penstock.pal import ToolFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_declaration, example_release
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools
from penstock.testing.memory_sink import MemorySink
from penstock.tools.runner import PythonToolRunner

MakeRig = Callable[..., Rig]
BONN: dict[str, Any] = {"town": "Bonn"}
KIEL: dict[str, Any] = {"town": "Kiel"}
WRITES: dict[str, Any] = {"weather": {"sideEffects": "write"}}
DEV_ONLY = [{"name": "dev", "effect": "allow", "stages": ["dev"]}]


def weather(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": 4}


def asking(*arguments: Mapping[str, Any]) -> FakeProvider:
    return FakeProvider(*(asks(("weather", one)) for one in arguments), says("done"))


def recorded(sink: MemorySink, run_id: str) -> Journal:
    bodies = [one["body"] for one in sink.of("payload") if one["role"] == "journal" and one["runId"] == run_id]
    return Journal.from_entries(bodies)


async def journal_of(rig: MakeRig, call: Mapping[str, Any], *arguments: Mapping[str, Any]) -> Journal:
    """The journal of a live run that called the tool with these arguments."""
    live = rig(asking(*arguments), FakeTools(weather=weather))
    result = await live.run(live.call(tools=call, stage="prod"))
    assert result.finished
    return recorded(live.sink, result.run_id)


def ends(one: Rig) -> list[tuple[str, Any, Any]]:
    """Type, source and code of the events in which tool calls ended."""
    events = [event for event in one.sink.events() if event["type"] in ("tool.finished", "tool.failed")]
    return [(event["type"], event["data"].get("source"), event["data"].get("code")) for event in events]


async def test_an_equal_write_is_answered_from_productions_journal(rig: MakeRig) -> None:
    journal = await journal_of(rig, WRITES, BONN)
    shadow = rig(asking(BONN), FakeTools(weather=weather))
    result = await shadow.run(shadow.call(tools=WRITES, mode="shadow", journal=journal))
    assert result.finished
    assert shadow.told()[0]["content"] == '{"degrees":4}'
    assert ends(shadow) == [("tool.finished", "journal", None)]
    assert (shadow.tools.calls, shadow.sink.of("intent")) == ([], [])
    shadow.require_sound_events()


@pytest.mark.parametrize("with_journal", [True, False])
async def test_another_write_is_refused_and_the_model_goes_on(rig: MakeRig, with_journal: bool) -> None:
    journal = await journal_of(rig, WRITES, BONN) if with_journal else None
    shadow = rig(asking(KIEL), FakeTools(weather=weather))
    result = await shadow.run(shadow.call(tools=WRITES, mode="shadow", journal=journal))
    assert (result.status, result.output) == ("finished", "done")
    assert "production made no equal call" in shadow.told()[0]["content"]
    assert ends(shadow) == [("tool.failed", None, "refused")]
    assert (shadow.tools.calls, shadow.sink.of("intent")) == ([], [])


async def test_the_second_of_two_equal_writes_is_another_call(rig: MakeRig) -> None:
    journal = await journal_of(rig, WRITES, BONN)
    shadow = rig(asking(BONN, BONN), FakeTools(weather=weather))
    await shadow.run(shadow.call(tools=WRITES, mode="shadow", journal=journal))
    assert ends(shadow) == [("tool.finished", "journal", None), ("tool.failed", None, "refused")]
    assert shadow.tools.calls == []


@pytest.mark.parametrize("effects", ["none", "read"])
async def test_reading_tools_are_called_where_production_did_not(rig: MakeRig, effects: str) -> None:
    reads: dict[str, Any] = {"weather": {"sideEffects": effects}}
    journal = await journal_of(rig, reads, BONN)
    shadow = rig(asking(BONN, KIEL), FakeTools(weather=lambda _: {"degrees": 30}))
    await shadow.run(shadow.call(tools=reads, mode="shadow", journal=journal))
    assert ends(shadow) == [("tool.finished", "journal", None), ("tool.finished", "tool", None)]
    assert [call.arguments for call in shadow.tools.calls] == [KIEL]
    assert [told["content"] for told in shadow.told()] == ['{"degrees":4}', '{"degrees":30}']


async def test_a_failure_of_production_is_answered_as_it_was(rig: MakeRig) -> None:
    def closed(_: Mapping[str, Any]) -> dict[str, Any]:
        raise ToolFailed("closed on Sundays")

    live = rig(asking(BONN), FakeTools(weather=closed))
    result = await live.run(live.call(tools=WRITES))
    shadow = rig(asking(BONN), FakeTools(weather=weather))
    await shadow.run(shadow.call(tools=WRITES, mode="shadow", journal=recorded(live.sink, result.run_id)))
    assert shadow.told()[0]["content"] == "Error: closed on Sundays"
    assert ends(shadow) == [("tool.failed", "journal", "failed")]


async def test_the_model_is_really_asked_and_policies_see_dev(rig: MakeRig) -> None:
    journal = await journal_of(rig, {}, BONN)
    shadow = rig(FakeProvider(says("another answer")))
    call = shadow.call(rules=DEV_ONLY, stage="prod", mode="shadow", journal=journal)
    result = await shadow.run(call)
    assert (result.output, result.stage, result.mode) == ("another answer", "dev", "shadow")
    assert len(shadow.provider.calls) == 1


async def test_facts_are_kept_and_payloads_are_not(rig: MakeRig) -> None:
    shadow = rig(asking(BONN), FakeTools(weather=weather))
    handle = shadow.start(shadow.call(tools={"weather": {}}, mode="shadow"))
    await handle.result()
    assert shadow.sink.of("payload") == []
    assert [one["run"]["status"] for one in shadow.sink.of("run")] == ["finished"]
    assert handle.journal is not None
    assert [entry.door for entry in handle.journal.entries] == ["model", "tool", "model"]


WRITER = """\
from pathlib import Path
import urllib.request

{kind} act(arguments, ctx):
    with Path({file!r}).open("a") as notes:
        notes.write(arguments["town"] + "\\n")
    urllib.request.urlopen(urllib.request.Request({url!r}, data=b"x", method="POST"), timeout=10).close()
    return {{"degrees": 1}}
"""


@pytest.fixture
def counter() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server on the loopback interface, and the methods of the requests that reached it."""
    seen: list[str] = []

    class Counting(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.command)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", seen
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("kind", ["async def", "def"])
async def test_nothing_is_written_by_a_real_tool(kind: str, counter: tuple[str, list[str]], tmp_path: Path) -> None:
    url, posted = counter
    notes = tmp_path / "notes.txt"
    code = WRITER.format(kind=kind, file=str(notes), url=url).encode()
    release, body = example_release(tools={"weather": {"sideEffects": "write"}})
    tool = release.tools[0].model_dump(mode="json", by_alias=True)
    tool["files"] = [{"path": "tool.py", "digest": digest_bytes(code)}]
    tool["document"]["spec"]["implementation"]["entry"] = "tool:act"
    release = type(release).model_validate({**release.as_document(), "tools": [tool]})
    runner = PythonToolRunner(tmp_path / "cache", {digest_bytes(code): code}.__getitem__, {}, block_ms=10_000)
    RUNTIMES.register("shadow-test-direct")(DirectRuntime)
    router = RuntimeRouter({"shadow-test-direct": example_declaration("shadow-test-direct")})

    async def run(call: RunCall, *arguments: Mapping[str, Any]) -> tuple[MemorySink, list[str]]:
        sink = MemorySink()
        engine = Engine(router, asking(*arguments), runner, sink)
        result = await asyncio.wait_for(engine.start(replace(call, run_id=new_run_id())).result(), 60)
        assert result.finished, result.error
        written = notes.read_text().splitlines() if notes.exists() else []
        return sink, written

    call = RunCall(release=release, prompt_body=body, runtime="shadow-test-direct", input="hello")
    try:
        sink, written = await run(replace(call, mode="shadow"), BONN, KIEL)
        assert (written, posted) == ([], [])
        assert [event["data"]["code"] for event in sink.events() if event["type"] == "tool.failed"] == ["refused"] * 2

        live, written = await run(call, BONN)
        assert (written, posted) == (["Bonn"], ["POST"])

        journal = recorded(live, live.of("run")[0]["run"]["runId"])
        sink, written = await run(replace(call, mode="shadow", journal=journal), BONN, KIEL)
        assert (written, posted) == (["Bonn"], ["POST"])
        ended = [event for event in sink.events() if event["type"] in ("tool.finished", "tool.failed")]
        assert [json.dumps(event["data"].get("source")) for event in ended] == ['"journal"', "null"]
        assert sink.of("intent") == []
    finally:
        runner.close()
