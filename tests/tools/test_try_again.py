"""How a tool says that a call may be made again: in this process and in a worker alike."""

from typing import Any

import pytest

from penstock.pal import ToolFailed


@pytest.mark.parametrize("kind", ["async def", "def"])
@pytest.mark.parametrize(
    ("raised", "retryable", "after_s"),
    [
        ("TryAgain('busy', 3)", True, 3.0),
        ("TryAgain('busy')", True, None),
        ("TryAgain('busy', 'soon')", True, None),
        ("TryAgain('busy', -1)", True, None),
        ("ConnectionResetError('gone')", True, None),
        ("TimeoutError('late')", True, None),
        ("ValueError('no')", False, None),
    ],
)
async def test_network_faults_and_rate_limits_are_retryable(
    bench: Any, call: Any, kind: str, raised: str, retryable: bool, after_s: float | None
) -> None:
    tool = bench.tool(f"from penstock.tools import TryAgain\n{kind} act(a, c):\n    raise {raised}\n")
    with pytest.raises(ToolFailed) as failure:
        await bench.runner().run(tool, call())
    assert (failure.value.retryable, failure.value.retry_after_s) == (retryable, after_s)
