import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.errors import Unavailable
from penstock.pal import ToolFailed
from penstock.testing.processes import is_running
from penstock.tools import worker_process

KINDS = ["async def", "def"]


@pytest.mark.parametrize("kind", KINDS)
async def test_arguments_params_and_ids_reach_the_tool(bench: Any, call: Any, kind: str) -> None:
    tool = bench.tool(
        f"""{kind} act(arguments, ctx):
    left = ctx.remaining_s
    return {{"a": arguments, "p": dict(ctx.params), "i": [ctx.call_id, ctx.idempotency_key], "in_time": 0 < left <= 30}}
""",
        params={"limit": 3},
    )
    result = await bench.runner().run(tool, call({"text": "grün\n\u2028"}))
    assert result == {"a": {"text": "grün\n\u2028"}, "p": {"limit": 3}, "i": ["c_1", "run/c_1"], "in_time": True}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_tool_knows_the_trace_that_it_belongs_to(bench: Any, call: Any, kind: str) -> None:
    tool = bench.tool(f"{kind} act(arguments, ctx): return {{'trace': ctx.traceparent}}\n")
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    runner = bench.runner()
    assert await runner.run(tool, replace(call(), traceparent=parent)) == {"trace": parent}
    assert await runner.run(tool, call()) == {"trace": None}


async def test_a_plain_def_runs_elsewhere_and_an_async_def_here(bench: Any, call: Any) -> None:
    body = " act(arguments, ctx):\n    import os\n    return {'pid': os.getpid()}\n"
    runner = bench.runner()
    assert await runner.run(bench.tool("async def" + body), call()) == {"pid": os.getpid()}
    assert (await runner.run(bench.tool("def" + body), call()))["pid"] != os.getpid()


async def test_plain_code_is_never_run_in_this_process(bench: Any, call: Any, tmp_path: Path) -> None:
    tool = bench.tool(
        "import os\nfrom pathlib import Path\n"
        f"with Path({str(tmp_path / 'pids')!r}).open('a') as f: f.write(f'{{os.getpid()}}\\n')\n"
        "def act(a, c): return {}\n"
    )
    await bench.runner().run(tool, call())
    assert str(os.getpid()) not in (tmp_path / "pids").read_text().split()


@pytest.mark.parametrize("kind", KINDS)
async def test_two_versions_serve_side_by_side(bench: Any, call: Any, kind: str) -> None:
    runner = bench.runner()
    versions = [
        bench.tool({"tool.py": f"from .part import N\n{kind} act(a, c): return {{'n': N}}\n", "part.py": f"N = {n}\n"})
        for n in (1, 2)
    ]
    results = await asyncio.gather(*(runner.run(versions[n % 2], call()) for n in range(10)))
    assert [result["n"] for result in results] == [1, 2] * 5


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_tool_raises_is_said_without_its_secrets(bench: Any, call: Any, kind: str) -> None:
    bench.secrets = {"JIRA_TOKEN": "s3cr3t-value", "OTHER": "not declared"}
    tool = bench.tool(
        f"{kind} act(a, c):\n    raise ValueError(f'token {{c.secrets[\"JIRA_TOKEN\"]}} of {{sorted(c.secrets)}}')\n",
        secrets=["JIRA_TOKEN"],
    )
    with pytest.raises(ToolFailed) as caught:
        await bench.runner().run(tool, call())
    assert caught.value.what == "ValueError: token [secret JIRA_TOKEN] of ['JIRA_TOKEN']"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_secret_that_is_not_set_is_named_before_the_call(
    bench: Any, call: Any, kind: str, tmp_path: Path
) -> None:
    tool = bench.tool(
        f"{kind} act(a, c):\n    open({str(tmp_path / 'called')!r}, 'w').close()\n    return {{}}\n",
        secrets=["JIRA_TOKEN"],
    )
    with pytest.raises(ToolFailed, match="secret JIRA_TOKEN is not set"):
        await bench.runner().run(tool, call())
    assert not (tmp_path / "called").exists()


async def test_a_worker_sees_no_environment_but_its_own(bench: Any, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    tool = bench.tool("import os\ndef act(a, c): return {'names': sorted(os.environ)}\n")
    names = (await bench.runner().run(tool, call()))["names"]
    assert set(names) <= {*worker_process.PASSED_ON, "LC_CTYPE"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("result", ["None", "[1]", "'text'"])
async def test_a_result_that_is_no_object_is_a_failure(bench: Any, call: Any, kind: str, result: str) -> None:
    with pytest.raises(ToolFailed, match="not a JSON object"):
        await bench.runner().run(bench.tool(f"{kind} act(a, c): return {result}\n"), call())


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("{'x': object()}", "no JSON"),
        ("{'x': float('nan')}", "no JSON"),
        ("{'x': 'y' * 2_000_000}", "more than 1048576"),
    ],
)
async def test_a_workers_result_is_bounded_json(bench: Any, call: Any, result: str, said: str) -> None:
    runner, tool = bench.runner(), bench.tool(f"def act(a, c): return {result} if a else {{'fine': True}}\n")
    with pytest.raises(ToolFailed, match=said):
        await runner.run(tool, call({"bad": 1}))
    assert await runner.run(tool, call()) == {"fine": True}


async def test_what_a_tool_prints_does_not_spoil_its_answer(
    bench: Any, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.secrets = {"KEY": "abcdefgh"}
    source = (
        "import os\ndef act(a, c):\n    print('a line', c.secrets['KEY'], flush=True)\n    os.write(1, b'raw\\n')\n"
        "    c.logger.info('logged')\n    return {'stdin': os.read(0, 1).decode()}\n"
    )
    runner = bench.runner()
    with caplog.at_level(logging.INFO, "penstock.tool"):
        assert await runner.run(bench.tool(source, secrets=["KEY"]), call()) == {"stdin": ""}
        runner.close()
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "a line [secret KEY]" in said
    assert "raw" in said
    assert "logged" in said


@pytest.mark.parametrize(
    ("crash", "said"),
    [
        ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
        ("import os; print('last words', flush=True); os._exit(3)", "exit status 3: last words"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
    ],
)
async def test_a_crash_is_a_failure_of_the_tool_and_the_next_call_works(
    bench: Any, call: Any, crash: str, said: str
) -> None:
    runner, tool = bench.runner(), bench.tool(f"def act(a, c):\n    if a:\n        {crash}\n    return {{}}\n")
    with pytest.raises(ToolFailed, match=said):
        await runner.run(tool, call({"crash": 1}))
    assert await runner.run(tool, call()) == {}


async def test_memory_is_bounded(bench: Any, call: Any) -> None:
    with pytest.raises(ToolFailed, match="MemoryError"):
        await bench.runner().run(bench.tool("def act(a, c): return {'n': len(bytearray(5 << 30))}\n"), call())


@pytest.mark.parametrize("kind", KINDS)
async def test_an_import_that_fails_is_said(bench: Any, call: Any, kind: str) -> None:
    with pytest.raises(ToolFailed, match="ModuleNotFoundError: No module named 'no_such_module_here'"):
        await bench.runner().run(bench.tool(f"import no_such_module_here\n{kind} act(a, c): return {{}}\n"), call())


async def test_what_is_required_and_missing_is_named(bench: Any, call: Any) -> None:
    tool = bench.tool("def act(a, c): return {}\n", requires=["no-such-thing-here>=1"])
    with pytest.raises(ToolFailed, match="no-such-thing-here>=1, which is not installed"):
        await bench.runner().run(tool, call())


async def test_a_tool_may_not_end_the_process(bench: Any, call: Any) -> None:
    with pytest.raises(ToolFailed, match="SystemExit: 4"):
        await bench.runner().run(bench.tool("async def act(a, c): raise SystemExit(4)\n"), call())


async def test_what_a_tool_does_to_its_arguments_stays_with_it(bench: Any, call: Any) -> None:
    tool = bench.tool(
        "async def act(a, c):\n    a['list'].append(1)\n    c.params['deep']['x'] = 2\n    return {}\n",
        params={"deep": {}},
    )
    invocation = call({"list": []})
    await bench.runner().run(tool, invocation)
    assert (invocation.arguments, tool.params) == ({"list": []}, {"deep": {}})


@pytest.mark.parametrize(
    "body",
    [
        "async def act(a, c):\n    import asyncio\n    await asyncio.sleep(60)\n",
        "def act(a, c):\n    while True: pass\n",
    ],
)
async def test_the_deadline_ends_a_tool(bench: Any, call: Any, body: str) -> None:
    before = time.monotonic()
    with pytest.raises(ToolFailed, match="did not end in its time"):
        await bench.runner().run(bench.tool(body), call(timeout_s=0.5))
    assert time.monotonic() - before < 3


async def test_a_tools_own_timeout_error_is_its_failure(bench: Any, call: Any) -> None:
    with pytest.raises(ToolFailed, match="TimeoutError: upstream"):
        await bench.runner().run(bench.tool("async def act(a, c): raise TimeoutError('upstream')\n"), call())


async def _until(claim: Any) -> None:
    async with asyncio.timeout(10):
        while not claim():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.01)


HANGING = """import json, os, subprocess, sys
def act(arguments, ctx):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(arguments["file"] + ".part", "w") as file:
        json.dump([os.getpid(), child.pid], file)
    os.rename(arguments["file"] + ".part", arguments["file"])
    child.wait()
"""


async def test_a_cancel_kills_the_worker_and_what_it_started(bench: Any, call: Any, tmp_path: Path) -> None:
    runner, tool, file = bench.runner(), bench.tool(HANGING), tmp_path / "pids"
    task = asyncio.ensure_future(runner.run(tool, call({"file": str(file)})))
    await _until(file.exists)
    pids = json.loads(file.read_text())
    assert all(is_running(pid) for pid in pids)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: not any(is_running(pid) for pid in pids))


def test_a_worker_dies_with_the_process_that_asked(bench: Any, tmp_path: Path) -> None:
    file, code = tmp_path / "pids", bench.tool(HANGING)
    program = f"""
        import asyncio, time
        from pathlib import Path
        from penstock.contracts.release import ToolComponent
        from penstock.pal import ToolInvocation
        from penstock.tools.runner import PythonToolRunner
        tool = ToolComponent.model_validate_json({code.model_dump_json(by_alias=True)!r})
        runner = PythonToolRunner(Path({str(bench.cache)!r}), {bench.blobs!r}.__getitem__, {{}})
        call = ToolInvocation("c", "k", time.monotonic() + 60, "r", "a", {{"file": {str(file)!r}}})
        asyncio.run(runner.run(tool, call))
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    try:
        deadline = time.monotonic() + 20
        while not file.exists():
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pids = json.loads(file.read_text())
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.02)


async def test_workers_are_kept_and_bounded(bench: Any, call: Any) -> None:
    runner = bench.runner(workers=2)
    tool = bench.tool("import os, time\ndef act(a, c):\n    time.sleep(0.05)\n    return {'pid': os.getpid()}\n")
    pids = {result["pid"] for result in await asyncio.gather(*(runner.run(tool, call()) for _ in range(8)))}
    assert len(pids) == 2
    assert (await runner.run(tool, call()))["pid"] in pids


async def test_a_worker_that_died_in_between_is_replaced(bench: Any, call: Any) -> None:
    runner, tool = bench.runner(), bench.tool("import os\ndef act(a, c): return {'pid': os.getpid()}\n")
    first = (await runner.run(tool, call()))["pid"]
    os.kill(first, signal.SIGKILL)
    await _until(lambda: not is_running(first))
    assert (await runner.run(tool, call()))["pid"] != first


def test_one_runner_serves_one_loop_after_another(bench: Any, call: Any) -> None:
    runner, tool = bench.runner(), bench.tool("def act(a, c): return {'n': a['n']}\n")
    assert [asyncio.run(runner.run(tool, call({"n": n})))["n"] for n in range(3)] == [0, 1, 2]


async def test_a_blob_that_is_gone_is_a_failure_with_its_place(bench: Any, call: Any) -> None:
    tool = bench.tool("async def act(a, c): return {}\n")
    bench.blobs[digest_bytes(b"async def act(a, c): return {}\n")] = b"something else"
    with pytest.raises(ToolFailed, match="not what the release says"):
        await bench.runner().run(tool, call())


async def test_a_loaded_release_answers_with_what_is_ready(bench: Any, call: Any) -> None:
    runner, tool = bench.runner(), bench.tool("import os\ndef act(a, c): return {'parent': os.getppid()}\n")
    asynchronous = bench.tool("async def act(a, c): return {}\n")
    await asyncio.to_thread(runner.load, [tool, asynchronous])
    bench.blobs.clear()
    workers = [worker.code.ref for worker in runner._pool._idle]
    assert workers == ["tools/act@1.0.0"]
    assert await runner.run(tool, call()) == {"parent": os.getpid()}
    assert await runner.run(asynchronous, call()) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_whose_tool_cannot_be_imported_is_not_loaded(bench: Any, kind: str) -> None:
    tool = bench.tool(f"import no_such_module_here\n{kind} act(a, c): return {{}}\n")
    with pytest.raises(ToolFailed, match="no_such_module_here"):
        bench.runner().load([tool])


def test_a_release_with_an_unmet_requirement_is_not_loaded(bench: Any) -> None:
    with pytest.raises(Unavailable, match="no-such-thing-here"):
        bench.runner().load([bench.tool("def act(a, c): return {}\n", requires=["no-such-thing-here"])])


def test_what_a_tools_author_imports_is_light() -> None:
    program = "import sys, penstock.tools, penstock.tools.worker; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert not {"pydantic", "asyncio", "orjson", "sqlalchemy", "yaml", "packaging"} & set(done.stdout.split())
