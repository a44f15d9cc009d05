import os
from pathlib import Path

from penstock.engine.assembly import assemble
from penstock.engine.call import RunCall
from penstock.engine.sink import NoSink
from penstock.settings import Settings
from penstock.testing.example_release import example_declaration, example_release

DENIED = [{"name": "nobody", "effect": "deny"}]


async def test_an_assembled_engine_writes_to_the_projects_spool(tmp_path: Path) -> None:
    release, body = example_release(rules=DENIED)
    blobs = {release.prompt.body: body}
    parts = assemble(Settings(root=tmp_path), {"direct": example_declaration()}, blobs.__getitem__)
    result = await parts.engine.start(
        RunCall(release=release, prompt_body=body, runtime="direct", input="hello")
    ).result()
    assert result.status == "rejected"
    assert parts.spool is not None
    await parts.close()
    written = b"".join(file.read_bytes() for file in (tmp_path / ".penstock/spool").rglob("*.jsonl"))
    assert written.count(result.run_id.encode()) == 3  # the decision, the rejection, the summary


async def test_an_engine_with_a_sink_of_its_own_writes_nothing(tmp_path: Path) -> None:
    release, body = example_release(rules=DENIED)
    blobs = {release.prompt.body: body}
    parts = assemble(Settings(root=tmp_path), {"direct": example_declaration()}, blobs.__getitem__, sink=NoSink())
    call = RunCall(release=release, prompt_body=body, runtime="direct", input="hello")
    assert (await parts.engine.start(call).result()).status == "rejected"
    await parts.close()
    assert os.listdir(tmp_path) == []
