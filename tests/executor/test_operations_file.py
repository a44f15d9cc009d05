"""pipelines/operations.yaml as an executor reads it: complete faults at the start, the last good one later on."""

import os
from pathlib import Path

import pytest

from penstock.contracts.operations import OperationsSpec
from penstock.errors import Invalid
from penstock.executor.operations_file import OperationsFile, read_operations

HEAD = "apiVersion: penstock.dev/v1\nkind: Operations\nmetadata: {name: default}\nspec:\n"


def write(root: Path, spec: str) -> None:
    """Lays the file down as an editor does: a new one under the old name."""
    folder = root / "pipelines"
    folder.mkdir(exist_ok=True)
    (folder / "new").write_text(HEAD + spec, "utf-8")
    os.replace(folder / "new", folder / "operations.yaml")


def test_without_the_file_the_defaults_hold_and_nobody_spends_without_a_limit(tmp_path: Path) -> None:
    spec = read_operations(tmp_path / "operations.yaml")
    assert spec.limits.everything.concurrency == 256
    assert spec.budgets.agent.day is not None
    assert spec.budgets.agent.day.hard_usd == 100.0


def test_every_fault_is_named_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, "  limits: {global: {concurrency: 0, depth: 1}}\n  budgets: {run: {softUsd: 9, hardUsd: 1}}\n")
    with pytest.raises(Invalid) as refused:
        OperationsFile(tmp_path)
    found = {(fault.line, fault.pointer) for fault in refused.value.faults}
    assert found == {
        (5, "spec.limits.global.concurrency"),
        (5, "spec.limits.global.depth"),
        (6, "spec.budgets.run"),
    }


def test_a_change_is_heard_once_and_a_bad_one_leaves_the_last_good_one(tmp_path: Path) -> None:
    heard: list[OperationsSpec] = []
    write(tmp_path, "  limits: {maxWaitMs: 1}\n")
    file = OperationsFile(tmp_path)
    file.look(heard.append)
    assert not heard
    write(tmp_path, "  limits: {maxWaitMs: 2}\n")
    file.look(heard.append)
    file.look(heard.append)
    assert [spec.limits.max_wait_ms for spec in heard] == [2]
    write(tmp_path, "  limits: {maxWaitMs: -1}\n")
    file.look(heard.append)
    assert file.problem is not None
    assert file.spec.limits.max_wait_ms == 2
    write(tmp_path, "  limits: {maxWaitMs: 3}\n")
    file.look(heard.append)
    assert file.problem is None
    assert [spec.limits.max_wait_ms for spec in heard] == [2, 3]
