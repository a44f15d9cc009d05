"""Datasets that domain teams write: what the cases are, where they come from, and the cases themselves."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Document, JsonSchema, Metadata, Spec

JsonType = Literal["string", "integer", "number", "boolean", "array", "object", "null"]


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
    provenance: str | None = Field(None, min_length=1, description="Where this case comes from; no run is added twice.")
    label: bool | float | str | None = Field(None, description="What people said of `answer`.")

    @property
    def has_expected(self) -> bool:
        """Whether `expected` was written (null counts)."""
        return "expected" in self.model_fields_set


class ColumnCheck(Spec):
    """What the values of one column must be; it is judged in the cases that have the column."""

    required: bool = Field(False, description="Whether every case has it.")
    type: JsonType | None = Field(None, description="The JSON type of each value; an integer is a number too.")
    min_length: int | None = Field(None, ge=0, description="Least characters of a text, or items of a list.")
    max_length: int | None = Field(None, ge=0, description="Most characters of a text, or items of a list.")
    minimum: float | None = Field(None, description="Least number.")
    maximum: float | None = Field(None, description="Greatest number.")
    one_of: list[str | int | float | bool] | None = Field(None, min_length=1, description="The only values.")


class DriftCheck(Spec):
    """How far the cases may move away from the version before; without a limit the distance is shown only."""

    columns: list[str] = Field(default_factory=list, description="Columns compared; none = all of plain values.")
    max_ks: float | None = Field(
        None, gt=0, le=1, description="Greatest Kolmogorov-Smirnov distance of numbers and lengths."
    )
    max_psi: float | None = Field(
        None, gt=0, le=100, description="Greatest population stability index of words, truth values and tags."
    )


class Allowance(Spec):
    """Personal data that may stand in a column, such as the addresses of a support desk; secrets never may."""

    kind: Literal["EMAIL", "PHONE", "CREDIT_CARD", "SSN", "IBAN"]
    column: str = Field(min_length=1, description="Where it may stand: this column and all below it.")
    reason: str = Field(min_length=1, description="Why it is nobody's secret; shown in every report.")


class DatasetCheck(Spec):
    """What is checked of the cases before each use, beside what always is.

    A column is a path into a case by names: `input`, `input.text`, `expected.total`, `tags`. What is not said of a
    column of the input is taken from the dataset's schema.
    """

    min_cases: int = Field(1, ge=1, description="Fewer cases are no evidence.")
    columns: dict[str, ColumnCheck] = Field(default_factory=dict)
    drift: DriftCheck = Field(default_factory=lambda: DriftCheck.model_validate({}))
    allow: list[Allowance] = Field(default_factory=list)


class DatasetSpec(Spec):
    """What the cases are and where they come from."""

    schema_: JsonSchema = Field(alias="schema", description="Shape of each case's input.")
    provenance: str = Field(min_length=1, description="Where the cases come from, and their licence.")
    split: Literal["train", "dev", "test"] = "test"
    checks: DatasetCheck = Field(default_factory=lambda: DatasetCheck.model_validate({}))


class Dataset(Document):
    """datasets/<name>/dataset.yaml, its cases in cases.jsonl beside it."""

    kind: Literal["Dataset"]
    metadata: Metadata
    spec: DatasetSpec
