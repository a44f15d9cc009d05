"""Eval suites name what is there: judges, datasets, models, and the project's own scorers."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from penstock.contracts.eval_suite import EvalSpec
from penstock.contracts.reference import Reference
from penstock.registry.document_faults import did_you_mean
from penstock.registry.documents import Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.layout import SCORERS_FOLDER, dataset_paths, document_path, scorer_path
from penstock.registry.strict_yaml import Path

_OWN = re.compile(r"own/([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)")


def judges_with_places(spec: EvalSpec) -> Iterator[tuple[Reference, Path]]:
    """Every judge that a suite asks, with its place in the document."""
    for position, use in enumerate(spec.scorers):
        if use.agent is not None:
            yield Reference.parse(use.agent), ("spec", "scorers", position, "agent")


def datasets_with_places(spec: EvalSpec) -> Iterator[tuple[str, Path]]:
    """Every dataset that a suite reads, its judges' calibrations included, with its place in the document."""
    for position, name in enumerate(spec.datasets):
        yield name, ("spec", "datasets", position)
    for position, use in enumerate(spec.scorers):
        if use.calibration is not None:
            yield use.calibration, ("spec", "scorers", position, "calibration")


def own_scorers_with_places(spec: EvalSpec) -> Iterator[tuple[str, Path]]:
    """The name of every own file that a suite uses, with its place: as a scorer, or as a scorer's parameter."""
    for position, use in enumerate(spec.scorers):
        place: Path = ("spec", "scorers", position)
        for text, where in [(use.scorer, (*place, "scorer")), *_texts(use.params, (*place, "params"))]:
            own = _OWN.fullmatch(text)
            if own:
                yield own[1], where


def eval_paths(spec: EvalSpec) -> set[str]:
    """The files that a suite names itself: datasets, own scorers, judges. What judges pin is not among them."""
    found = {path for name, _ in datasets_with_places(spec) for path in dataset_paths(name)}
    found |= {scorer_path(name) for name, _ in own_scorers_with_places(spec)}
    return found | {document_path(judge.folder, judge.name, judge.version) for judge, _ in judges_with_places(spec)}


def check_evals(registry: Registry, faults: FaultList) -> None:
    """Each judge exists and is another agent; calibrations, own scorers and paced models exist."""
    for agent, suite in registry.evals.items():
        path = f"evals/{agent}.yaml"
        for judge, place in judges_with_places(suite.spec):
            _check_judge(registry, faults, path, agent, (judge, place))
        for name, place in datasets_with_places(suite.spec):
            # What a suite names among its datasets is judged with their cases.
            if place[-1] == "calibration" and dataset_paths(name)[0] not in registry.source.entries():
                hint = _near(name, _names(registry, "datasets/", 2), "datasets")
                faults.blame(path, place, f"no dataset {name!r}", hint)
        for name, place in own_scorers_with_places(suite.spec):
            if scorer_path(name) not in registry.source.entries():
                hint = _near(f"own/{name}", {f"own/{known}" for known in _scorer_names(registry)}, "own scorers")
                faults.blame(path, place, f"there is no {scorer_path(name)}", hint)
        _check_pace(registry, faults, path, suite.spec)


def _check_judge(
    registry: Registry, faults: FaultList, path: str, agent: str, judge_at: tuple[Reference, Path]
) -> None:
    judge, place = judge_at
    if judge.name == agent:
        faults.blame(path, place, f"{judge} is the agent itself", "nobody judges their own work: name another agent")
    elif registry.find(judge) is None and not registry.has_file(judge):
        faults.blame(path, place, f"no {judge}", registry.suggest(judge))


def _check_pace(registry: Registry, faults: FaultList, path: str, spec: EvalSpec) -> None:
    models = _names(registry, "registry_repo/models/", 3)
    for name in spec.pace.keys() - models:
        faults.blame(path, ("spec", "pace", name), f"no model {name!r}", _near(name, models, "models"), key=True)


def _names(registry: Registry, folder: str, depth: int) -> set[str]:
    """The names of the folders below `folder`; of the files, not of what was read: a change is judged by a part."""
    return {
        path.split("/")[depth - 1]
        for path in registry.source.entries()
        if path.startswith(folder) and path.count("/") >= depth
    }


def _scorer_names(registry: Registry) -> set[str]:
    paths = [path for path in registry.source.entries() if path.startswith(SCORERS_FOLDER) and path.endswith(".py")]
    return {path.removeprefix(SCORERS_FOLDER).removesuffix(".py") for path in paths}


def _near(word: str, known: Iterable[str], noun: str) -> str:
    return did_you_mean(word, known) or f"{noun}: {', '.join(sorted(known)) or 'none'}"


def _texts(value: Any, place: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(value, str):
        yield value, place
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*place, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _texts(inner, (*place, position))
