"""Prompt: front matter and a body with declared variables."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Document, Metadata, Spec

VARIABLE_PATTERN = r"[a-zA-Z][a-zA-Z0-9_]*"
VariableType = Literal["string", "integer", "number", "boolean", "array", "object"]


class Variable(Spec):
    """A variable of a prompt's body."""

    type: VariableType = Field("string", description="The JSON type of its value.")
    default: Any = Field(None, description="Used where the agent gives no value; absent: the agent must give one.")

    @property
    def has_default(self) -> bool:
        """Whether a default was written (null counts as one)."""
        return "default" in self.model_fields_set


class PromptSpec(Spec):
    """How the body is used."""

    role: Literal["system"] = Field("system", description="The role of the rendered message.")
    variables: dict[str, Variable] = Field(default_factory=dict, description="Every variable that the body names.")


class Prompt(Document):
    """registry_repo/prompts/<name>/<version>.md: this front matter between two --- lines, then the body."""

    kind: Literal["Prompt"]
    metadata: Metadata
    spec: PromptSpec
