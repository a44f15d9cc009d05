"""Reads a registry from a source: strictly, completely, with every fault at once."""

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from pydantic import ValidationError

from penstock.contracts.agent import Agent
from penstock.contracts.dataset import Dataset
from penstock.contracts.document import Spec
from penstock.contracts.eval_suite import EvalSuite
from penstock.contracts.model import Model
from penstock.contracts.operations import Operations
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Policy
from penstock.contracts.prompt import Prompt
from penstock.contracts.runtime import Runtime
from penstock.contracts.stages import Stages
from penstock.contracts.suite import ContractSuite
from penstock.contracts.team import Retired, Teams
from penstock.contracts.tool import Tool
from penstock.errors import Fault, Invalid
from penstock.garbage import no_collection
from penstock.registry.checks import check_registry
from penstock.registry.document_faults import model_faults, problem_faults
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import read_places
from penstock.registry.file_checks import file_faults
from penstock.registry.layout import Misplaced, Place, place_of
from penstock.registry.needs import Needs
from penstock.registry.prompt_file import split_prompt
from penstock.registry.source import Entry, Source
from penstock.registry.strict_yaml import Problem, decode, parse

__all__ = ["Loaded", "Registry", "load_registry", "require_valid"]

S = TypeVar("S", bound=Spec)

_DOCUMENTS: dict[str, type[Agent] | type[Prompt] | type[Tool] | type[Policy] | type[Model]] = {
    "agents": Agent,
    "prompts": Prompt,
    "tools": Tool,
    "policies": Policy,
    "models": Model,
}


def load_registry(source: Source, *, only: Collection[str] | None = None, default_runtime: str = "") -> Registry:
    """Everything that `source` holds, its faults in `Registry.faults`; raises only `Unavailable`.

    `only` limits reading and checking to these paths and to what they need to be judged: right where all other files
    are known to be good, as they are on the base branch. `default_runtime` is that of agents which name none.
    """
    registry = Registry(source)
    with no_collection():
        loader = _Loader(registry)
        if only is None:
            loader.load(source.entries().values())
        else:
            loader.load_closure(only)
        check_registry(registry, default_runtime)
    registry.faults.sort()
    registry.warnings.sort()
    return registry


def require_valid(registry: Registry) -> None:
    """Raises `Invalid` with all faults of the registry, if it has any."""
    if registry.faults:
        count = len(registry.faults)
        raise Invalid(
            f"{count} fault{'s' if count > 1 else ''} in the registry",
            where=registry.source.label,
            now="mend them; `agentctl validate` shows them all",
            faults=registry.faults,
        )


class _Loader:
    """Puts files into a registry, each by what its place says it is."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.source = registry.source
        self.roles: dict[str, Callable[[Entry, Place], None]] = {
            "document": self.document,
            "code": self.code,
            "recording": self.recording,
            "teams": self.teams,
            "retired": self.retired,
            "stages": self.stages,
            "suite": self.suite,
            "dataset": self.dataset,
            "eval": self.evaluation,
            "scorer": self.scorer,
            "runtime": self.runtime,
            "pipeline": self.pipeline,
            "operations": self.operations,
        }
        self.seen: set[str] = set()

    def load(self, entries: Collection[Entry]) -> None:
        """Reads files; each once."""
        fresh = [entry for entry in entries if entry.path not in self.seen]
        self.seen.update(entry.path for entry in fresh)
        for entry in fresh:
            faults = file_faults(entry)
            self.registry.faults += faults
            try:
                place = place_of(entry.path)
            except Misplaced as error:
                self.blame(entry.path, str(error), error.hint)
                continue
            if not faults and place.role in self.roles:
                self.roles[place.role](entry, place)

    def load_closure(self, paths: Collection[str]) -> None:
        """Reads files and, step by step, what they need to be judged."""
        known = self.source.entries()
        needs = Needs(self.registry, paths)
        wanted = set(paths)
        while wanted:
            self.load([known[path] for path in sorted(wanted) if path in known])
            wanted = needs.paths(self.seen)

    def document(self, entry: Entry, place: Place) -> None:
        """A version of an agent, prompt, tool, policy or model."""
        data = self.source.read(entry.path)
        body, front, first_line = b"", data, 1
        if place.folder == "prompts":
            halves = split_prompt(data)
            if isinstance(halves, Problem):
                self.registry.faults += problem_faults(entry.path, [halves])
                return
            body, front, first_line = halves.body, halves.front, 2
        read = self.spec(entry.path, data, front, _DOCUMENTS[place.folder], first_line)
        if read is None:
            return
        model, document = read
        for key, wanted in (("name", place.name), ("version", place.version)):
            found = getattr(model.metadata, key)
            if found != wanted:
                where = read_places(entry.path, data).of(("metadata", key))
                what = f"is {found!r}, but the path says {wanted!r}"
                self.registry.faults.append(Fault(entry.path, *where, f"metadata.{key}", what, "they must be equal"))
        self.registry.documents[place.folder, place.name, place.version] = Loaded(
            model, document, entry.path, entry, data, body
        )

    def spec(
        self, path: str, data: bytes, front: bytes, model: type[S], first_line: int = 1
    ) -> tuple[S, dict[str, Any]] | None:
        """The model and the document as written, or None and faults."""
        text, problems = decode(data)
        if not problems or text:
            value, more = parse(front.decode("utf-8"), first_line=first_line)
            problems += more
        if problems:
            self.registry.faults += problem_faults(path, problems)
            return None
        try:
            return model.model_validate(value), value
        except ValidationError as error:
            self.registry.faults += model_faults(path, model, error, value, read_places(path, data))
            return None

    def whole(self, entry: Entry, model: type[S]) -> S | None:
        """A file that is one document."""
        data = self.source.read(entry.path)
        read = self.spec(entry.path, data, data, model)
        return read[0] if read else None

    def named(self, entry: Entry, place: Place, model: type[S]) -> S | None:
        """A document whose name its path gives."""
        spec = self.whole(entry, model)
        if spec is not None:
            name = spec.metadata.name  # type: ignore[attr-defined]
            if name != place.name:
                where = read_places(entry.path, self.source.read(entry.path)).of(("metadata", "name"))
                what = f"is {name!r}, but the path says {place.name!r}"
                self.registry.faults.append(Fault(entry.path, *where, "metadata.name", what, "they must be equal"))
        return spec

    def code(self, entry: Entry, place: Place) -> None:
        """A file of a tool's folder."""
        self.registry.code.setdefault((place.name, place.version), []).append(entry)

    def recording(self, entry: Entry, place: Place) -> None:
        """A recorded journal of a contract case."""
        self.registry.recordings.setdefault((place.name, place.version), []).append(entry)

    def teams(self, entry: Entry, place: Place) -> None:
        """teams.yaml"""
        self.registry.teams = self.whole(entry, Teams)

    def retired(self, entry: Entry, place: Place) -> None:
        """retired.yaml"""
        self.registry.retired = self.whole(entry, Retired) or self.registry.retired

    def pipeline(self, entry: Entry, place: Place) -> None:
        """pipelines/release.yaml"""
        self.registry.pipeline = self.whole(entry, Pipeline)

    def operations(self, entry: Entry, place: Place) -> None:
        """pipelines/operations.yaml"""
        self.registry.operations = self.whole(entry, Operations)

    def stages(self, entry: Entry, place: Place) -> None:
        """stages/<agent>.yaml"""
        _keep(self.registry.stages, place.name, self.named(entry, place, Stages))

    def suite(self, entry: Entry, place: Place) -> None:
        """contract_suites/<agent>/suite.yaml"""
        _keep(self.registry.suites, place.name, self.named(entry, place, ContractSuite))

    def dataset(self, entry: Entry, place: Place) -> None:
        """datasets/<name>/dataset.yaml"""
        _keep(self.registry.datasets, place.name, self.named(entry, place, Dataset))

    def evaluation(self, entry: Entry, place: Place) -> None:
        """evals/<agent>.yaml"""
        _keep(self.registry.evals, place.name, self.named(entry, place, EvalSuite))

    def scorer(self, entry: Entry, place: Place) -> None:
        """evals/scorers/<name>.py"""
        self.registry.scorers[place.name] = entry

    def runtime(self, entry: Entry, place: Place) -> None:
        """runtimes/<name>.yaml"""
        _keep(self.registry.runtimes, place.name, self.named(entry, place, Runtime))

    def blame(self, path: str, what: str, hint: str = "") -> None:
        """A fault of the file as a whole."""
        self.registry.faults.append(Fault(path, 0, 0, "", what, hint))


def _keep(known: dict[str, S], name: str, spec: S | None) -> None:
    if spec is not None:
        known[name] = spec
