"""A registry as it was read: every document with where it stands, and every fault that was found."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import semver

from penstock.contracts.agent import Agent
from penstock.contracts.canonical import digest, digest_bytes
from penstock.contracts.dataset import Dataset
from penstock.contracts.document import Document
from penstock.contracts.eval_suite import EvalSuite
from penstock.contracts.model import Model
from penstock.contracts.operations import Operations
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Policy
from penstock.contracts.prompt import Prompt
from penstock.contracts.reference import Reference
from penstock.contracts.runtime import Runtime
from penstock.contracts.stages import Stages
from penstock.contracts.suite import ContractSuite
from penstock.contracts.team import Retired, Teams
from penstock.contracts.tool import Tool
from penstock.errors import Fault, NotFound
from penstock.registry.document_faults import did_you_mean
from penstock.registry.layout import document_path
from penstock.registry.source import Entry, Source

Key = tuple[str, str, str]
M = TypeVar("M", bound=Document)


@dataclass(frozen=True)
class Loaded:
    """One version of one document. `data` is the file's bytes, `document` what they say, no default filled in."""

    model: Agent | Prompt | Tool | Policy | Model
    document: dict[str, Any]
    path: str
    entry: Entry = field(repr=False)
    data: bytes = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def spec(self) -> Any:
        """The document's spec."""
        return self.model.spec

    @property
    def reference(self) -> Reference:
        """Folder, name and version."""
        folder, name, version = self.path.split("/")[1:4]
        return Reference(folder, name, version.rpartition(".")[0])  # type: ignore[arg-type]

    @property
    def owner(self) -> str:
        """The team that owns it."""
        return self.model.metadata.owner

    @property
    def blob(self) -> str:
        """The file's Git blob id."""
        return self.entry.blob

    @cached_property
    def digest(self) -> str:
        """Its identity: of the canonical JSON as written; of a prompt, of its file's bytes."""
        return digest_bytes(self.data) if isinstance(self.model, Prompt) else digest(self.document)


@dataclass
class Registry:
    """All that a source holds. `faults` is complete: a registry with faults is good for showing them only.

    `scorers` are the project's own, by file name: text that is never imported here.
    """

    source: Source
    documents: dict[Key, Loaded] = field(default_factory=dict)
    code: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    stages: dict[str, Stages] = field(default_factory=dict)
    runtimes: dict[str, Runtime] = field(default_factory=dict)
    pipeline: Pipeline | None = None
    operations: Operations | None = None
    teams: Teams | None = None
    retired: Retired = field(default_factory=lambda: Retired.model_validate({}))
    suites: dict[str, ContractSuite] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    evals: dict[str, EvalSuite] = field(default_factory=dict)
    scorers: dict[str, Entry] = field(default_factory=dict)
    recordings: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def find(self, reference: Reference | str) -> Loaded | None:
        """The document that a reference names, or None."""
        wanted = Reference.parse(reference) if isinstance(reference, str) else reference
        return self.documents.get((wanted.folder, wanted.name, wanted.version))

    def get(self, reference: Reference | str) -> Loaded:
        """The document that a reference names; raises `NotFound` with the nearest one."""
        wanted = Reference.parse(reference) if isinstance(reference, str) else reference
        found = self.find(wanted)
        if found is None:
            raise NotFound(f"no {wanted}", where=self.source.label, now=self.suggest(wanted))
        return found

    def has_file(self, reference: Reference) -> bool:
        """Whether the file is there, even if it has faults."""
        return document_path(reference.folder, reference.name, reference.version) in self.source.entries()

    def suggest(self, wanted: Reference) -> str:
        """What a reference that names nothing may have meant."""
        folder = f"registry_repo/{wanted.folder}/"
        parts = [path.split("/") for path in self.source.entries() if path.startswith(folder) and path.count("/") == 3]
        versions = [part[3].rpartition(".")[0] for part in parts if part[2] == wanted.name]
        if versions:
            return f"versions: {', '.join(sorted(versions))}"
        names = {part[2] for part in parts}
        return did_you_mean(wanted.name, names) or f"{wanted.folder}: {', '.join(sorted(names)[:10]) or 'none'}"

    def agent(self, name: str, version: str) -> Loaded:
        """One version of an agent; raises `NotFound` with the nearest one."""
        return self.get(Reference("agents", name, version))

    def agents(self) -> list[str]:
        """The names of all agents, sorted."""
        return sorted({name for folder, name, _ in self.documents if folder == "agents"})

    def versions(self, name: str, folder: str = "agents") -> list[str]:
        """The versions of a document, lowest first."""
        found = [version for at, known, version in self.documents if at == folder and known == name]
        return sorted(found, key=semver.Version.parse)

    def of(self, folder: str) -> Iterator[Loaded]:
        """All documents of one folder (`agents`, `tools`, ...)."""
        return (loaded for (at, _, _), loaded in self.documents.items() if at == folder)

    def file_digest(self, path: str) -> str | None:
        """`sha256:<hex>` of a file's bytes (a suite, a dataset's cases), None if there is no such file."""
        return digest_bytes(self.source.read(path)) if path in self.source.entries() else None
