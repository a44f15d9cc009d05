"""Tool: a function that a model may ask for, with its code at the pinned version."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from penstock.contracts.agent import Payload
from penstock.contracts.caching import ToolCache
from penstock.contracts.document import Document, Metadata, Spec

SideEffects = Literal["none", "read", "write"]


class PythonImplementation(Spec):
    """A function in the tool's own folder."""

    type: Literal["python"]
    entry: str = Field(
        pattern=r"^[a-zA-Z_]\w*(\.[a-zA-Z_]\w*)*:[a-zA-Z_]\w*$", description="module:function, such as tool:search."
    )
    requires: list[str] = Field(
        default_factory=list, description="PEP 508 requirements, checked before the tool counts as loaded."
    )


class Example(Spec):
    """A call and its result; dry runs answer from it."""

    arguments: dict[str, Any]
    result: dict[str, Any]


class ToolSpec(Spec):
    """One version of a tool."""

    later: ClassVar[frozenset[str]] = frozenset({"dataDomains", "fallback"})
    input: Payload
    output: Payload
    params: Payload | None = Field(None, description="Shape of what an agent may set in toolRefs[].params.")
    implementation: PythonImplementation
    timeout_ms: int = Field(10_000, ge=1, le=3_600_000, description="Wall time of one call, milliseconds.")
    side_effects: SideEffects = Field("write", description="What a call changes outside; decides what modes may call.")
    idempotent: bool = Field(False, description="A call may be repeated with the same idempotency key.")
    secrets: list[str] = Field(default_factory=list, description="Names of secrets that the tool receives.")
    cache: ToolCache | None = Field(None, description="For tools that do not write. Absent: each call is made.")
    examples: list[Example] = Field(default_factory=list)


class Tool(Document):
    """registry_repo/tools/<name>/<version>.yaml, its code beside it in <version>/."""

    kind: Literal["Tool"]
    metadata: Metadata
    spec: ToolSpec
