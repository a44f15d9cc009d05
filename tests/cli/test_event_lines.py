from pathlib import Path

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.cli.main import main
from penstock.engine import patience
from penstock.pal import ModelFailed
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider
from penstock.testing.fake_tools import FakeTools


async def test_a_failed_model_and_its_retries_are_lines_like_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    refusals = [ModelFailed(f"refusal {n}", where="fake", retryable=n < 3) for n in (1, 2, 3)]
    rig = Rig(DirectRuntime, "penstock", FakeProvider(*refusals), FakeTools())
    result = await rig.run()
    (tmp_path / "pyproject.toml").write_text("[tool.penstock]\n")
    database = open_database(f"sqlite:///{tmp_path / '.penstock/store.db'}")
    RunStore(database).ingest(rig.sink.records)
    database.close()
    assert main(["--project", str(tmp_path), "events", result.run_id]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("llm.retried" in line and "attempt 1 failed" in line and "refusal 1" in line for line in lines)
    assert any("llm.finished" in line and "model: refusal 3" in line for line in lines)
    assert "run.failed" in lines[-1]
