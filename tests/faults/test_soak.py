"""The soak itself, short: its table, its verdict, and that it sees what grows."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "bench/soak.py"
SECONDS = "12"


@pytest.fixture(scope="module")
def soak() -> dict[str, Any]:
    """The script's own names."""
    return runpy.run_path(str(SCRIPT))


def test_a_short_soak_ends_well_and_judges_no_memory() -> None:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, "PENSTOCK_SOAK_S": SECONDS},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    head, *rows = ended.stdout.splitlines()
    assert head.split()[:2] == ["s", "answers"]
    assert len([row for row in rows if row.split()[0].isdigit() and len(row.split()) == 6]) == 10
    assert "too short to judge memory" in ended.stdout
    assert ended.stdout.splitlines()[-1].endswith("all is flat")


def test_a_leak_is_seen(soak: dict[str, Any]) -> None:
    steady = [soak["Sample"](10.0 * n, 100.0 + n, 20 + n, 30 + n, 0.01 * n * n, 100) for n in range(60)]
    assert soak["slope_a_minute"](steady) == pytest.approx(6.0)
    found = soak["drifts"](steady[0], steady, steady[-1], 600.0)
    assert [sentence.split()[0] for sentence in found] == ["memory", "89", "79", "the"]
    flat = [soak["Sample"](10.0 * n, 100.0 + n % 3, 20, 30, 1.0, 100) for n in range(60)]
    assert soak["drifts"](flat[0], flat, flat[-1], 600.0) == []
