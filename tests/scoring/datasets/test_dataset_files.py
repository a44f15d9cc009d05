import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.dataset import Dataset
from penstock.errors import Conflict, NotFound, Unavailable
from penstock.registry.strict_yaml import parse
from penstock.scoring.datasets import dataset_files
from penstock.scoring.datasets.dataset_files import append_cases, case_lines, write_dataset
from penstock.scoring.datasets.dataset_head import dataset_head
from penstock.settings import Settings

HEAD = dataset_head("rows", "qa", "made up", {"type": "object", "properties": {"NO": {"type": "string"}}})
ADD = """
import sys
from pathlib import Path
from penstock.scoring.datasets import dataset_files
from penstock.settings import Settings
from penstock.testing.disk import ArmedDisk

settings, do, kill_at = Settings(root=Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
if kill_at:
    dataset_files.os = disk = ArmedDisk(kill_at)
if do == "new":
    dataset_files.write_dataset(settings, "rows", b"head: 1\\n", [{"id": "a", "input": 1}])
else:
    for at in range(int(sys.argv[4])):
        dataset_files.append_cases(settings, "rows", lambda before: [{"id": f"{do}-{at}", "input": at}])
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


def cases(settings: Settings) -> list[dict[str, Any]]:
    text = (settings.root / "datasets/rows/cases.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def start(root: Path, *words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", ADD, str(root), *map(str, words)], stderr=subprocess.PIPE)


def test_a_new_dataset_is_readable_and_is_not_written_twice(settings: Settings) -> None:
    write_dataset(settings, "rows", HEAD, [{"id": "a", "input": {"NO": "ü"}}])
    value, problems = parse((settings.root / "datasets/rows/dataset.yaml").read_text("utf-8"))
    assert problems == []
    assert Dataset.model_validate(value).spec.schema_["properties"] == {"NO": {"type": "string"}}
    assert cases(settings) == [{"id": "a", "input": {"NO": "ü"}}]
    with pytest.raises(Conflict, match="already"):
        write_dataset(settings, "rows", HEAD, [{"id": "b", "input": 1}])
    assert len(cases(settings)) == 1
    assert list((settings.state / "drafts").iterdir()) == []


def test_cases_are_appended_behind_a_last_line_without_an_end(settings: Settings) -> None:
    write_dataset(settings, "rows", HEAD, [])
    (settings.root / "datasets/rows/cases.jsonl").write_bytes(b'{"id": "a", "input": 1}')
    assert append_cases(settings, "rows", lambda before: [{"id": "b", "input": before.decode()}]) == 1
    assert cases(settings) == [{"id": "a", "input": 1}, {"id": "b", "input": '{"id": "a", "input": 1}'}]
    assert append_cases(settings, "rows", lambda _: []) == 0


def test_a_dataset_that_is_not_there(settings: Settings) -> None:
    with pytest.raises(NotFound, match="no such dataset"):
        append_cases(settings, "rows", lambda _: [{"id": "a", "input": 1}])


def test_what_the_adding_refuses_changes_nothing(settings: Settings) -> None:
    write_dataset(settings, "rows", HEAD, [{"id": "a", "input": 1}])

    def refuse(_: bytes) -> list[dict[str, Any]]:
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        append_cases(settings, "rows", refuse)
    assert len(cases(settings)) == 1


def test_another_programs_change_meanwhile_is_not_lost(settings: Settings) -> None:
    write_dataset(settings, "rows", HEAD, [{"id": "a", "input": 1}])
    place = settings.root / "datasets/rows/cases.jsonl"

    def edited_meanwhile(before: bytes) -> list[dict[str, Any]]:
        place.write_bytes(before + case_lines([{"id": "by hand", "input": 2}]))
        return [{"id": "b", "input": 3}]

    with pytest.raises(Conflict, match="another program"):
        append_cases(settings, "rows", edited_meanwhile)
    assert [case["id"] for case in cases(settings)] == ["a", "by hand"]


def test_two_processes_that_add_at_the_same_time_lose_nothing(settings: Settings) -> None:
    write_dataset(settings, "rows", HEAD, [])
    both = [start(settings.root, name, 0, 20) for name in ("one", "two")]
    assert [process.communicate(timeout=60)[1] for process in both] == [b"", b""]
    wanted = {f"{name}-{at}" for name in ("one", "two") for at in range(20)}
    assert [process.returncode for process in both] == [0, 0]
    assert {case["id"] for case in cases(settings)} == wanted
    assert len(cases(settings)) == 40


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "open"])
def test_a_full_disk_is_said_and_changes_nothing(
    settings: Settings, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(settings, "rows", HEAD, [{"id": "a", "input": 1}])
    monkeypatch.setattr(dataset_files, "os", FullDisk(call))
    with pytest.raises(Unavailable, match="nothing was written: No space left"):
        append_cases(settings, "rows", lambda _: [{"id": "b", "input": 2}])
    with pytest.raises(Unavailable, match="nothing was written: No space left"):
        write_dataset(settings, "others", HEAD, [{"id": "a", "input": 1}])
    assert [case["id"] for case in cases(settings)] == ["a"]
    assert not (settings.root / "datasets/others").exists()
    assert list((settings.state / "drafts").iterdir()) == []


@pytest.mark.parametrize("kill_at", [2, 4, 7, 11, 12])
def test_a_kill_at_any_call_leaves_all_or_nothing(settings: Settings, kill_at: int) -> None:
    process = start(settings.root, "new", kill_at)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == -signal.SIGKILL
    folder = settings.root / "datasets/rows"
    assert not folder.exists() or sorted(one.name for one in folder.iterdir()) == ["cases.jsonl", "dataset.yaml"]
    if not folder.exists():
        write_dataset(settings, "rows", HEAD, [{"id": "a", "input": 1}])
    assert cases(settings) == [{"id": "a", "input": 1}]


class FullDisk:
    """`os`, of which one function finds no space left."""

    def __init__(self, call: str) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return self._full if name == self._call else getattr(os, name)

    def _full(self, *arguments: Any, **_: Any) -> Any:
        is_lock = str(arguments[0]).endswith(".lock") if arguments else False
        if is_lock:
            return os.open(*arguments)
        raise OSError(28, "No space left on device")
