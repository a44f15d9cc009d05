"""What is wrong with the scorers of eval suites beyond their shape: file, line and column, for `validate`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import orjson
from pydantic import BaseModel, ValidationError

from penstock.contracts.eval_suite import EvalSpec, ScorerUse
from penstock.errors import Fault, Invalid, NotFound
from penstock.registry.document_faults import did_you_mean, pointer
from penstock.registry.documents import Registry
from penstock.registry.source import Source
from penstock.registry.strict_yaml import Path, Places, decode, parse
from penstock.scoring.diff.rule_faults import rule_faults
from penstock.scoring.own_scorer import SAME_ARGUMENTS, named_scorer, own_names, read_own_file
from penstock.scoring.scorer import BUILT_IN, SCORERS, Scorer
from penstock.scoring.scorers.expectation import needs_expectation
from penstock.scoring.scorers.own_file import OWN_PREFIX, named_files


@dataclass(frozen=True, slots=True)
class Wrong:
    """One fault at a place of the suite's document; `is_missing` = a file that is not there, as the registry says."""

    place: Path
    what: str
    hint: str = ""
    is_missing: bool = False


def suite_faults(registry: Registry) -> list[Fault]:
    """Every fault of the scorers of all eval suites, sorted; that a suite names no missing file, the registry says."""
    faults: set[Fault] = set()
    for agent, suite in registry.evals.items():
        path = f"evals/{agent}.yaml"
        found = list(_suite(registry, suite.spec))
        faults.update(one for one in found if isinstance(one, Fault))
        wrong = [one for one in found if isinstance(one, Wrong) and not one.is_missing]
        if wrong:
            places = Places()
            parse(decode(registry.source.read(path))[0], places=places)
            faults.update(_placed(path, one, places) for one in wrong)
    return sorted(faults)


def _placed(path: str, one: Wrong, places: Places) -> Fault:
    return Fault(path, *places.of(one.place, key=True), pointer(one.place), one.what, one.hint)


def use_faults(source: Source, use: ScorerUse, place: Path, path: str) -> list[Fault]:
    """Every fault of one use of a scorer, without its line."""
    return [
        one if isinstance(one, Fault) else Fault(path, 0, 0, pointer(one.place), one.what, one.hint)
        for one in _use(source, use, place)[1]
    ]


def _suite(registry: Registry, spec: EvalSpec) -> Iterator[Wrong | Fault]:
    scorers: dict[str, tuple[Scorer, BaseModel]] = {}
    titles: dict[str, int] = {}
    for index, use in enumerate(spec.scorers):
        place: Path = ("spec", "scorers", index)
        if use.title in titles:
            what = f"{use.title!r} is there twice: scorers {titles[use.title]} and {index}"
            yield Wrong((*place, "name" if use.name else "scorer"), what, "give one of them another `name`")
        titles.setdefault(use.title, index)
        ready, wrong = _use(registry.source, use, place)
        yield from wrong
        yield from _calibration(registry, use, place)
        if ready is not None:
            scorers.setdefault(use.title, ready)
    yield from _online(spec, titles, scorers)
    for where, what in rule_faults(spec.diff):
        yield Wrong(("spec", "diff", *where), what)


def _use(source: Source, use: ScorerUse, place: Path) -> tuple[tuple[Scorer, BaseModel] | None, list[Wrong | Fault]]:
    """The scorer with its parameters, None where there is none, and what is wrong."""
    try:
        scorer = named_scorer(source, use.scorer)
    except NotFound as error:
        is_missing = use.scorer.startswith(OWN_PREFIX)
        return None, [Wrong((*place, "scorer"), error.what, _near(source, use.scorer) or error.now, is_missing)]
    except Invalid as error:
        return None, list(error.faults)
    wrong: list[Wrong | Fault] = [*_asked(scorer, use, place)]
    try:
        parameters = scorer.parameters.model_validate(use.params)
    except ValidationError as error:
        return None, [*wrong, *_parameter_faults(scorer, use, error, place)]
    wrong += _named_files(source, use, parameters, place)
    return (scorer, parameters), wrong


def _near(source: Source, name: str) -> str:
    own = [f"{OWN_PREFIX}{one}" for one in own_names(source)]
    return did_you_mean(name, [*BUILT_IN, *SCORERS, *own])


def _asked(scorer: Scorer, use: ScorerUse, place: Path) -> Iterator[Wrong]:
    """Fields of a use that its scorer cannot serve."""
    if scorer.asks_judge and use.agent is None:
        yield Wrong(
            (*place, "scorer"), f"scorer {use.scorer!r} asks a judge", "name it: `agent: agents/<name>@<version>`"
        )
    if use.agent is not None and not scorer.asks_judge:
        yield Wrong((*place, "agent"), f"scorer {use.scorer!r} asks no judge", "remove it")
    if use.reducer != "mean" and scorer.kind != "assertion":
        what = f"{use.reducer} counts passes, and {use.scorer!r} is a {scorer.kind}"
        yield Wrong((*place, "reducer"), what, "remove it: repeats are averaged")
    for name, key in (("margin", "margin"), ("at_least", "atLeast"), ("at_most", "atMost")):
        limit = getattr(use, name)
        if limit is None:
            continue
        if scorer.kind == "label":
            yield Wrong((*place, key), "words are counted, and nothing is asked of them", "remove it")
        elif scorer.kind != "measure" and not 0 <= limit <= 1:
            yield Wrong((*place, key), f"{limit:g} is not from 0 to 1, as its mean is", "mend it")
    if use.calibration is not None and (not scorer.asks_judge or scorer.is_pairwise):
        what = f"scorer {use.scorer!r} cannot be measured against labelled answers"
        yield Wrong((*place, "calibration"), what, "remove it: it is for a judge that looks at one answer")


def _parameter_faults(scorer: Scorer, use: ScorerUse, error: ValidationError, place: Path) -> list[Wrong]:
    takes = f"scorer {use.scorer!r} takes: {', '.join(_keys(scorer.parameters)) or 'no parameters'}"
    found: dict[Path, list[tuple[str, str]]] = {}
    for fault in error.errors(include_url=False):
        where = (*place, "params", *_real(fault["loc"], use.params))
        key = str(fault["loc"][-1])
        if fault["type"] == "extra_forbidden":
            told = (f"unknown parameter {key!r}", _known(scorer, fault["loc"], takes))
        elif fault["type"] == "missing":
            told = (f"parameter {key!r} is missing", takes)
        else:
            told = (str(fault["msg"]).removeprefix("Value error, ").replace("Input should", "should"), takes)
        found.setdefault(where, []).append(told)
    return [
        Wrong(where, "; or ".join(dict.fromkeys(what for what, _ in told)), told[0][1]) for where, told in found.items()
    ]


def _known(scorer: Scorer, location: Sequence[str | int], takes: str) -> str:
    """What may stand where an unknown key stands: a parameter, or a key of what a parameter holds."""
    names = _keys(scorer.parameters)
    if len(location) > 1:
        holding = next(info for info in scorer.parameters.model_fields.values() if info.alias == location[0])
        names = _keys_inside(holding.annotation)
        takes = f"known: {', '.join(names)}"
    return "; ".join(part for part in (did_you_mean(str(location[-1]), names), takes) if part)


def _keys(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _keys_inside(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _keys(annotation)
    return [name for part in get_args(annotation) for name in _keys_inside(part)]


def _real(location: Sequence[str | int], document: Any) -> Path:
    """The part of pydantic's location that stands in the file: names of union members do not."""
    path: list[str | int] = []
    value = document
    for part in location:
        if _has(value, part):
            value = value[part]
            path.append(part)
    return tuple(path)


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _named_files(source: Source, use: ScorerUse, parameters: BaseModel, place: Path) -> Iterator[Wrong | Fault]:
    for name in named_files(parameters):
        key = next((key for key, value in use.params.items() if value == f"{OWN_PREFIX}{name}"), "")
        try:
            read_own_file(source, name).require(SAME_ARGUMENTS)
        except NotFound as error:
            yield Wrong((*place, "params", key), error.what, error.now, is_missing=True)
        except Invalid as error:
            yield from error.faults


def _calibration(registry: Registry, use: ScorerUse, place: Path) -> Iterator[Wrong]:
    if use.calibration is None:
        return
    path = f"datasets/{use.calibration}/cases.jsonl"
    if path not in registry.source.entries():
        return  # the registry says so
    if not any(_is_labelled(line) for line in registry.source.read(path).splitlines()):
        what = f"no case of {use.calibration!r} has an `answer` and a `label`"
        yield Wrong((*place, "calibration"), what, "add what people said of some answers")


def _is_labelled(line: bytes) -> bool:
    try:
        case = orjson.loads(line) if line.strip() else {}
    except ValueError:
        return False
    return isinstance(case, dict) and "answer" in case and case.get("label") is not None


def _online(spec: EvalSpec, titles: dict[str, int], scorers: dict[str, tuple[Scorer, BaseModel]]) -> Iterator[Wrong]:
    """Scorers of live runs: of this suite, and such as can do without a case's expectation or production's trial."""
    for index, title in enumerate(spec.online.scorers if spec.online is not None else []):
        place: Path = ("spec", "online", "scorers", index)
        if title not in titles:
            hint = did_you_mean(title, titles) or f"scorers: {', '.join(titles) or 'none'}"
            yield Wrong(place, f"the suite has no scorer {title!r}", hint)
        elif title in scorers:
            scorer, parameters = scorers[title]
            if scorer.is_pairwise:
                yield Wrong(place, f"{title!r} compares with production's answer, and a live run has none", "remove it")
            elif needs_expectation(scorer, parameters):
                yield Wrong(place, f"{title!r} reads `expected`, which a live run does not have", "remove it")
