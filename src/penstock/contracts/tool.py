"""Tool: a function that a model may ask for, with its code at the pinned version."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from penstock.contracts.agent import Payload
from penstock.contracts.caching import ToolCache
from penstock.contracts.document import Document, Metadata, Spec
from penstock.contracts.reference import ToolRef

HEADER_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"
TAKEN_PATTERN = r"^/(arguments|params)(/[^/]+)*$"
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


class Taken(Spec):
    """A value of the call, by a JSON pointer into {"arguments": ..., "params": ...}."""

    from_: str = Field(
        alias="from", pattern=TAKEN_PATTERN, description="/arguments/<name> or /params/<name>, deeper if need be."
    )


class SecretHeader(Spec):
    """A header's value that holds a secret."""

    secret: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="One of the tool's spec.secrets.")
    prefix: str = Field("", pattern=r"^[\x20-\x7e]*$", description="What stands before it, such as 'Bearer '.")


class HttpImplementation(Spec):
    """An HTTP endpoint that takes and answers JSON."""

    type: Literal["http"]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str = Field(
        pattern=r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[^\s?#]*)?$",
        description="Without user, query and fragment; {/arguments/<name>} in its path is that value, escaped.",
    )
    query: dict[str, str | int | float | bool | Taken] = Field(
        default_factory=dict, description="A value that the call does not have is left out; a list is repeated."
    )
    headers: dict[str, str | SecretHeader] = Field(default_factory=dict, description="Text, or {secret: NAME}.")
    body: dict[str, Any] | None = Field(
        None, description="JSON, {from: pointer} for a value anywhere in it; absent: the arguments, or none with GET."
    )
    idempotency_header: str = Field(
        "Idempotency-Key", pattern=HEADER_PATTERN, description="Carries the call's key where sideEffects is write."
    )


Implementation = Annotated[PythonImplementation | HttpImplementation, Field(discriminator="type")]


class Example(Spec):
    """A call and its result; dry runs answer from it."""

    arguments: dict[str, Any]
    result: dict[str, Any]


class CachedResult(Spec):
    """The last good result of an equal call: the same tenant, arguments and params, in the same executor."""

    max_age_s: int = Field(ge=1, le=2_592_000, description="How old it may be at most, seconds.")


class ToolFallback(Spec):
    """What stands in while the tool's breaker is open: exactly one of `tool`, `cached` and `answer`."""

    on: Literal["open", "failure"] = Field("open", description="failure = also when a call failed or took too long.")
    tool: ToolRef | None = Field(
        None, description="Called with the same arguments and params; never offered to a model."
    )
    cached: CachedResult | None = Field(None, description="For tools that only read.")
    answer: dict[str, Any] | None = Field(None, description="A fixed result; it fits the output schema.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "ToolFallback":
        if sum(one is not None for one in (self.tool, self.cached, self.answer)) != 1:
            raise ValueError("holds exactly one of tool, cached, answer")
        return self


class ToolSpec(Spec):
    """One version of a tool."""

    later: ClassVar[frozenset[str]] = frozenset({"dataDomains"})
    input: Payload
    output: Payload
    params: Payload | None = Field(None, description="Shape of what an agent may set in toolRefs[].params.")
    implementation: Implementation
    timeout_ms: int = Field(10_000, ge=1, le=3_600_000, description="Wall time of one call, milliseconds.")
    side_effects: SideEffects = Field("write", description="What a call changes outside; decides what modes may call.")
    idempotent: bool = Field(False, description="A call may be repeated with the same idempotency key.")
    secrets: list[str] = Field(default_factory=list, description="Names of secrets that the tool receives.")
    cache: ToolCache | None = Field(None, description="For tools that do not write. Absent: each call is made.")
    examples: list[Example] = Field(default_factory=list)
    fallback: ToolFallback | None = Field(None, description="Absent: the model reads that the tool is not called.")


class Tool(Document):
    """registry_repo/tools/<name>/<version>.yaml, its code beside it in <version>/."""

    kind: Literal["Tool"]
    metadata: Metadata
    spec: ToolSpec
