"""GateResult: what one gate found. Only `passed` opens a gate."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.canonical import digest
from penstock.contracts.document import Record

Outcome = Literal["passed", "failed", "inconclusive", "errored", "skipped"]
Origin = Literal["draft", "released"]


class GateResult(Record):
    """One finding with everything that the gate read.

    failed = the evidence says no; inconclusive = it does not decide; errored = there is none, a retry may give it.
    """

    gate: str
    outcome: Outcome
    reason: str = Field(description="One sentence.")
    measured: Any = None
    limit: Any = None
    release: str
    baseline: str | None = None
    suite: str | None = None
    dataset: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    artifacts: dict[str, Any] = Field(default_factory=dict)
    started_at: str
    finished_at: str
    inputs: dict[str, Any] = Field(description="Everything the gate read, null where unused.")
    origin: Origin = "draft"
    id: str = Field("", description="Digest of the result without its id.")

    def sealed(self) -> "GateResult":
        """The same result with its `id` computed."""
        return self.model_copy(update={"id": self.computed_id})

    @property
    def computed_id(self) -> str:
        """The digest of everything but `id`."""
        document = self.as_document()
        document.pop("id", None)
        return digest(document)

    @property
    def inputs_digest(self) -> str:
        """The key by which passed, failed and inconclusive results are reused."""
        return digest({"gate": self.gate, "inputs": self.inputs})
