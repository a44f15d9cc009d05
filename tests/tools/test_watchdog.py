import asyncio
import logging
from typing import Any

import pytest

BLOCKING = """import time
async def act(arguments, ctx):
    await inner(arguments["s"])
    return {}
async def inner(seconds):
    time.sleep(seconds)
"""


async def test_the_tool_that_blocks_the_loop_is_named_once_with_its_stack(
    bench: Any, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runner = bench.runner(block_ms=40)
    with caplog.at_level(logging.WARNING, "penstock.tools"):
        await runner.run(bench.tool(BLOCKING), call({"s": 0.4}))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("tools/act@1.0.0 blocks the event loop for ")
    assert "(call c_1)" in said[0]
    assert "time.sleep(seconds)" in said[0]


async def test_a_block_in_a_task_of_the_tool_is_seen_too(
    bench: Any, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    source = BLOCKING.replace(
        "await inner(arguments", "import asyncio\n    await asyncio.gather(inner(arguments"
    ).replace('["s"])', '["s"]))')
    with caplog.at_level(logging.WARNING, "penstock.tools"):
        await bench.runner(block_ms=40).run(bench.tool(source), call({"s": 0.4}))
    assert len(caplog.records) == 1


async def test_a_tool_that_waits_is_not_named_for_what_blocks_beside_it(
    bench: Any, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    import time

    tool = bench.tool("import asyncio\nasync def act(a, c):\n    await asyncio.sleep(0.5)\n    return {}\n")
    with caplog.at_level(logging.WARNING, "penstock.tools"):
        task = asyncio.ensure_future(bench.runner(block_ms=40).run(tool, call()))
        await asyncio.sleep(0.2)
        time.sleep(0.2)  # noqa: ASYNC251 - the test itself blocks the loop
        await task
    assert caplog.records == []


async def test_a_second_call_is_named_again(bench: Any, call: Any, caplog: pytest.LogCaptureFixture) -> None:
    runner, tool = bench.runner(block_ms=40), bench.tool(BLOCKING)
    with caplog.at_level(logging.WARNING, "penstock.tools"):
        await runner.run(tool, call({"s": 0.3}))
        await runner.run(tool, call({"s": 0.3}))
    assert len(caplog.records) == 2
