"""LiteLLM is loaded where a release needs it, and nowhere else."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.release import Release
from penstock.errors import Unavailable
from penstock.executor import model_library
from penstock.executor.model_library import ModelLibrary
from penstock.testing.executor_world import empty_world, in_prod, make_release
from penstock.testing.model_server import ModelServer

SERVED = """
import asyncio, sys
from pathlib import Path
from penstock.executor.executor import Executor
from penstock.executor.order import Identity, RunOrder
from penstock.settings import load_settings

async def main():
    async with Executor(load_settings(Path(sys.argv[1]))) as executor:
        assert executor.state()["ready"], executor.state()
        handle = await executor.submit("echo", Identity(None, None), RunOrder({"text": "The user logs in."}), False)
        result = await handle.result()
        assert result.status == "finished", result
        assert "litellm" not in sys.modules

asyncio.run(main())
"""


def lean_release(parameters: dict[str, Any]) -> tuple[Release, dict[str, bytes]]:
    return make_release("echo", "1.0.0", model="qa-rules", parameters=parameters, transport="openai-compatible")


def test_an_executor_without_a_model_of_litellms_is_ready_at_once_and_never_loads_it(tmp_path: Path) -> None:
    world = empty_world(tmp_path)
    with ModelServer() as models:
        made, blobs = lean_release(dict(models.parameters))
        world.publish(echo=in_prod("1.0.0", world.store.put_release(made, blobs)))
        done = subprocess.run(
            [sys.executable, "-c", SERVED, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_first_release_that_needs_it_begins_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    monkeypatch.setattr(model_library, "load", lambda: loads.append("once"))
    library = ModelLibrary()
    library.load_for(lean_release({})[0], wait=True)
    assert (loads, list(library.reasons())) == ([], [])
    for _ in range(2):
        library.load_for(make_release("echo", "1.0.0")[0], wait=True)
    assert (loads, list(library.reasons())) == (["once"], [])


def test_what_cannot_be_loaded_keeps_a_later_table_out_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise Unavailable("it is not installed")

    monkeypatch.setattr(model_library, "load", broken)
    library = ModelLibrary()
    needing = make_release("echo", "1.0.0")[0]
    with pytest.raises(Unavailable, match="the model library cannot be loaded: it is not installed"):
        library.load_for(needing, wait=True)
    assert list(library.reasons()) == []
    monkeypatch.setattr(model_library, "load", lambda: None)
    library.load_for(needing, wait=True)
    first = ModelLibrary()
    monkeypatch.setattr(model_library, "load", broken)
    first.load_for(needing, wait=False)
    first.wait()
    assert list(first.reasons()) == ["the model library cannot be loaded: it is not installed"]
