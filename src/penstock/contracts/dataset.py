"""Datasets that domain teams write: what the cases are, where they come from, and the cases themselves."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Document, JsonSchema, Metadata, Spec


class Case(Spec):
    """One line of cases.jsonl: an input, and what is known of a good answer."""

    id: str = Field(min_length=1, max_length=200, description="Unique in the dataset.")
    input: Any = Field(description="What the agent is given; a valid input of every version in use.")
    expected: Any = Field(None, description="What a good answer is or holds, as the suite's scorers read it.")
    context: Any = Field(None, description="What an answer's claims must be supported by.")
    tags: list[str] = Field(default_factory=list, description="Slices of the report.")
    cluster: str | None = Field(None, description="Cases of one cluster are not independent, such as one document's.")
    fixtures: dict[str, list[dict[str, Any]]] = Field(
        default_factory=dict, description="Tool name -> results in order, for tools that write."
    )
    history: list[dict[str, Any]] = Field(
        default_factory=list, description="Messages before the input, oldest first, of a conversational agent."
    )
    answer: Any = Field(None, description="An answer that people have labelled: what a judge is measured against.")
    label: bool | float | str | None = Field(None, description="What people said of `answer`.")

    @property
    def has_expected(self) -> bool:
        """Whether `expected` was written (null counts)."""
        return "expected" in self.model_fields_set


class DatasetSpec(Spec):
    """What the cases are and where they come from."""

    schema_: JsonSchema = Field(alias="schema", description="Shape of each case's input.")
    provenance: str = Field(min_length=1, description="Where the cases come from, and their licence.")
    split: Literal["train", "dev", "test"] = "test"


class Dataset(Document):
    """datasets/<name>/dataset.yaml, its cases in cases.jsonl beside it."""

    kind: Literal["Dataset"]
    metadata: Metadata
    spec: DatasetSpec
