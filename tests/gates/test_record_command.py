import json
import shutil
from pathlib import Path

import pytest

from penstock.cli.main import main
from penstock.testing.project import project

ROOT = Path(__file__).parents[2]
FOLDERS = ("registry_repo", "contract_suites", "datasets", "evals", "runtimes", "pipelines")


def test_the_reference_content_records_and_replays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = project({}, tmp_path / "project")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, made.root / folder, ignore=shutil.ignore_patterns("__pycache__", "*.jsonl.*"))
    for file in (made.root / "contract_suites/testplan-generator").glob("*/*.jsonl"):
        file.unlink()
    made.commit()
    version = "testplan-generator@1.0.0"

    def run(*words: str) -> tuple[int, dict[str, object]]:
        status = main(["--project", str(made.root), *words, "--json"])
        return status, json.loads(capsys.readouterr().out)

    assert run("contract", version)[0] == 1
    status, document = run("record", version)
    assert status == 0
    recorded = document["recorded"]
    assert isinstance(recorded, list)
    assert {path.rsplit("/", 1)[0] for path in recorded} == {"contract_suites/testplan-generator/1.0.0"}
    assert run("record", version)[1]["recorded"] == []
    status, document = run("contract", version)
    assert (status, document["outcome"]) == (0, "passed")
    assert run("record", version, "--case", "nothing-of-this-name")[0] == 1
