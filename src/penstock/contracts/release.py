"""Release: the resolved closure of one agent version. Its digest is the identity of all that is promoted and run."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.agent import AgentSpec
from penstock.contracts.canonical import digest
from penstock.contracts.document import Digest, Record, Version
from penstock.contracts.model import ModelSpec
from penstock.contracts.policy import PolicySpec
from penstock.contracts.prompt import PromptSpec
from penstock.contracts.tool import ToolSpec

RELEASE_SCHEMA = "penstock.dev/release/v1"


class Component(Record):
    """One document of the closure, as it was written (no defaults filled in)."""

    ref: str = Field(description="<folder>/<name>@<version>")
    digest: Digest = Field(description="Of the document's canonical JSON; of a prompt: of its file's bytes.")
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """The document's name."""
        return str(self.document["metadata"]["name"])

    @property
    def owner(self) -> str:
        """The team that owns the document."""
        return str(self.document["metadata"]["owner"])


class PromptComponent(Component):
    """The prompt: front matter as `document`; its body as a blob."""

    body: Digest = Field(description="Blob with the body's bytes.")

    @property
    def spec(self) -> PromptSpec:
        """The prompt's spec."""
        return PromptSpec.model_validate(self.document["spec"])


class CodeFile(Record):
    """A file of a tool's folder."""

    path: str = Field(description="Relative to the tool's folder, with /.")
    digest: Digest = Field(description="Blob with the file's bytes.")
    executable: bool = False


class ToolComponent(Component):
    """A tool as the agent pins it, with its code by digest."""

    params: dict[str, Any] = Field(default_factory=dict)
    files: list[CodeFile] = Field(default_factory=list)

    @property
    def spec(self) -> ToolSpec:
        """The tool's spec."""
        return ToolSpec.model_validate(self.document["spec"])

    @property
    def code_digest(self) -> str:
        """The digest of the files alone: two tools with the same code share one loaded package."""
        return digest([[file.path, file.digest] for file in self.files])


class PolicyComponent(Component):
    """A policy that the agent pins."""

    @property
    def spec(self) -> PolicySpec:
        """The policy's spec."""
        return PolicySpec.model_validate(self.document["spec"])


class ModelComponent(Component):
    """The model that the agent pins."""

    @property
    def spec(self) -> ModelSpec:
        """The model's spec."""
        return ModelSpec.model_validate(self.document["spec"])


class AgentComponent(Component):
    """The agent itself."""

    @property
    def spec(self) -> AgentSpec:
        """The agent's spec."""
        return AgentSpec.model_validate(self.document["spec"])


class Release(Record):
    """releases/sha256/<hex>.json: nothing of time, commit or program is in it."""

    schema_: Literal["penstock.dev/release/v1"] = Field("penstock.dev/release/v1", alias="schema")
    agent: AgentComponent
    prompt: PromptComponent
    tools: list[ToolComponent] = Field(default_factory=list)
    spare_tools: list[ToolComponent] = Field(
        default_factory=list, description="Called in place of others, never offered to the model; by reference."
    )
    policies: list[PolicyComponent]
    models: list[ModelComponent]
    min_engine: Version = Field(description="The lowest engine that knows the fields used.")

    def as_document(self) -> dict[str, Any]:
        """The release as it was written: a later program's defaults are not part of an older release's identity."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @property
    def digest(self) -> str:
        """The release's identity."""
        return digest(self.as_document())

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.agent.name

    @property
    def version(self) -> str:
        """The agent's version."""
        return str(self.agent.document["metadata"]["version"])

    @property
    def blobs(self) -> frozenset[str]:
        """The digests of all blobs that the release needs."""
        return frozenset({self.prompt.body, *(file.digest for tool in self.all_tools for file in tool.files)})

    @property
    def all_tools(self) -> list[ToolComponent]:
        """The tools that the model is offered, and the spare ones that are not among them."""
        offered = {tool.ref for tool in self.tools}
        return [*self.tools, *(tool for tool in self.spare_tools if tool.ref not in offered)]
