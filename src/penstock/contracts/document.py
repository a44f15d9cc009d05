"""The two shapes of every contract: specs that people write, and records that machines exchange."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

API_VERSION = "penstock.dev/v1"
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
VERSION_PATTERN = (
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$"
)
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN, description="A DNS label of 1 to 63 characters.")]
Version = Annotated[str, Field(pattern=VERSION_PATTERN, description="A SemVer 2.0.0 version.")]
Digest = Annotated[str, Field(pattern=DIGEST_PATTERN, description="sha256: and 64 hex digits.")]
Mail = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", description="An e-mail address; compared in lower case.")]
DURATION_PATTERN = r"^(0|[1-9]\d{0,6})[smhd]$"
Duration = Annotated[str, Field(pattern=DURATION_PATTERN, description="A whole number and s, m, h or d, as 90m or 0s.")]
JsonSchema = Annotated[dict[str, Any], Field(description="A JSON Schema (2020-12).")]


def duration_s(text: str) -> int:
    """Seconds of a `Duration`."""
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[text[-1]]


class Spec(BaseModel):
    """What people write: unknown fields are refused, values are never changed once read.

    `later` names fields that are reserved: they are refused as not supported by this version.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, strict=True, validate_by_name=False
    )
    later: ClassVar[frozenset[str]] = frozenset()

    def as_document(self) -> dict[str, Any]:
        """The spec as a JSON object with its camelCase keys, defaults included."""
        return self.model_dump(mode="json", by_alias=True)


class Record(BaseModel):
    """What machines exchange: unknown fields are kept and ignored, so that newer and older programs can talk."""

    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    def as_document(self) -> dict[str, Any]:
        """The record as a JSON object with its camelCase keys, unknown fields included."""
        return self.model_dump(mode="json", by_alias=True)


class Metadata(Spec):
    """Who a versioned document is and who answers for it."""

    name: Name
    version: Version
    owner: Name = Field(description="The team in teams.yaml that owns this document.")
    description: str = Field("", description="One or two sentences; a tool's is what the model reads.")
    labels: dict[str, str] = Field(default_factory=dict, description="Free labels, for filters of the catalog.")


class NamedMetadata(Spec):
    """The name of a document that has no versions of its own."""

    name: Name
    description: str = Field("", description="One or two sentences.")


class Document(Spec):
    """The head that every document shares."""

    api_version: Literal["penstock.dev/v1"] = Field(description="The API group and version.")
