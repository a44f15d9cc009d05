"""References between documents: `<folder>/<name>@<version>`, always exact."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

from penstock.contracts.document import NAME_PATTERN, VERSION_PATTERN
from penstock.errors import WrongUse

Folder = Literal["agents", "prompts", "tools", "policies", "models"]
FOLDERS: tuple[Folder, ...] = get_args(Folder)
KIND_FOLDERS: dict[str, Folder] = {
    "Agent": "agents",
    "Prompt": "prompts",
    "Tool": "tools",
    "Policy": "policies",
    "Model": "models",
}

_NAME, _VERSION = NAME_PATTERN.strip("^$"), VERSION_PATTERN.strip("^$")
_REFERENCE = re.compile(rf"(?:(?P<folder>{'|'.join(FOLDERS)})/)?(?P<name>{_NAME})@(?P<version>{_VERSION})")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """One version of one document."""

    folder: Folder
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}@{self.version}"

    @classmethod
    def parse(cls, text: str, default_folder: Folder | None = None) -> "Reference":
        """Reads `tools/search@1.0.0`; with a default folder also `search@1.0.0`. Raises `WrongUse`."""
        match = _REFERENCE.fullmatch(text)
        folder = match and (match["folder"] or default_folder)
        if match is None or folder is None:
            place = (
                f"{default_folder.removesuffix('s').upper()}@VERSION" if default_folder else "<folder>/<name>@<version>"
            )
            example = "search@1.0.0" if default_folder else "tools/search@1.0.0"
            raise WrongUse(f"{text!r} is no reference", now=f"write {place} in full, such as {example}")
        return cls(folder, match["name"], match["version"])  # type: ignore[arg-type]


def _pattern(folder: Folder) -> str:
    return rf"^{folder}/{_NAME}@{_VERSION}$"


AgentRef = Annotated[str, Field(pattern=_pattern("agents"), description="Exact: agents/<name>@<version>.")]
PromptRef = Annotated[str, Field(pattern=_pattern("prompts"), description="Exact: prompts/<name>@<version>.")]
ToolRef = Annotated[str, Field(pattern=_pattern("tools"), description="Exact: tools/<name>@<version>.")]
PolicyRef = Annotated[str, Field(pattern=_pattern("policies"), description="Exact: policies/<name>@<version>.")]
ModelRef = Annotated[str, Field(pattern=_pattern("models"), description="Exact: models/<name>@<version>.")]
