"""Contract suites that domain teams write: fixed inputs and what must come of them."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Document, Name, NamedMetadata, Spec


class OutputExpectation(Spec):
    """What must hold of the output at a JSON path; at least one predicate."""

    path: str = Field(description="RFC 9535 JSON path, such as $.testCases[*].title.")
    equals: Any = None
    matches: str | None = Field(None, description="Regular expression that every selected string must contain.")
    min_items: int | None = Field(None, ge=0, description="Least number of selected values.")
    max_items: int | None = Field(None, ge=0, description="Greatest number of selected values.")

    @property
    def has_equals(self) -> bool:
        """Whether `equals` was written (null counts)."""
        return "equals" in self.model_fields_set


class Expectation(Spec):
    """What a run of a case must show, on every runtime."""

    events: list[str] = Field(
        min_length=1,
        description="Types in order, `type` or `type:name` (a tool's or model's name); `*` = any events between.",
    )
    output: list[OutputExpectation] = Field(default_factory=list)


class ContractCase(Spec):
    """One input and what must come of it."""

    name: Name
    input: Any
    fixtures: dict[str, list[dict[str, Any]]] = Field(
        default_factory=dict, description="Tool name -> results in order, for tools that write."
    )
    expect: Expectation


class ContractSpec(Spec):
    """The cases of one agent, valid for all its versions."""

    cases: list[ContractCase] = Field(min_length=1)
    sequence: Literal["show", "block"] = Field(
        "show", description="block = a sequence that changed against the previous version fails."
    )


class ContractSuite(Document):
    """contract_suites/<agent>/suite.yaml"""

    kind: Literal["ContractSuite"]
    metadata: NamedMetadata
    spec: ContractSpec
