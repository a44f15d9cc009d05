"""Which of an agent's models answers a run: by its complexity, which the caller says or the agent works out."""

from typing import Literal, get_args

from pydantic import Field, model_validator

from penstock.contracts.document import Spec
from penstock.contracts.reference import ModelRef

Complexity = Literal["simple", "medium", "complex"]
COMPLEXITIES: tuple[Complexity, ...] = get_args(Complexity)
DEFAULT_COMPLEXITY: Complexity = "medium"


class ModelsByComplexity(Spec):
    """A model for each complexity; two of them may be the same."""

    simple: ModelRef
    medium: ModelRef
    complex: ModelRef

    def of(self, complexity: Complexity) -> str:
        """The model of that complexity."""
        return {"simple": self.simple, "medium": self.medium, "complex": self.complex}[complexity]


class Measures(Spec):
    """Bounds of a run's size; each that is given must hold."""

    input_characters: int | None = Field(
        None, ge=1, description="Characters of the input, of its canonical JSON if it is no string."
    )
    history_messages: int | None = Field(None, ge=1, description="Messages of the session before the input.")

    @model_validator(mode="after")
    def _any(self) -> "Measures":
        if self.input_characters is None and self.history_messages is None:
            raise ValueError("holds inputCharacters, historyMessages or both")
        return self


class ComplexityRule(Spec):
    """What a run is whose size is below every bound."""

    below: Measures
    choose: Complexity


class ComplexityChoice(Spec):
    """How the agent works a run's complexity out where its caller does not say: exactly one of the two ways."""

    rule: list[ComplexityRule] | None = Field(None, min_length=1, description="The first that fits decides.")
    otherwise: Complexity = Field("medium", description="What a run is that no rule fits, or that was not classified.")
    classifier: ModelRef | None = Field(None, description="A model that is asked before all else; part of the release.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "ComplexityChoice":
        if (self.rule is None) == (self.classifier is None):
            raise ValueError("holds exactly one of rule and classifier")
        return self
