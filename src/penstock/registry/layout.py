"""Which file of a project is what: the layout of the folders that people write."""

import re
from dataclasses import dataclass
from typing import Literal

from penstock.contracts.document import NAME_PATTERN, VERSION_PATTERN
from penstock.contracts.reference import FOLDERS

Role = Literal[
    "document",
    "code",
    "teams",
    "retired",
    "stages",
    "suite",
    "recording",
    "dataset",
    "cases",
    "eval",
    "scorer",
    "runtime",
    "pipeline",
    "operations",
    "definitions",
    "note",
]

TEAMS = "registry_repo/teams.yaml"
RETIRED = "registry_repo/retired.yaml"
STAGES_FOLDER = "registry_repo/stages/"
PIPELINE = "pipelines/release.yaml"
OPERATIONS = "pipelines/operations.yaml"
DEFINITIONS = "pipelines/definitions.py"
SCORERS_FOLDER = "evals/scorers/"
NOTES = frozenset({"README.md", ".gitkeep", ".gitattributes", ".gitignore"})

_NAME = f"(?P<name>{NAME_PATTERN.strip('^$')})"
_VERSION = f"(?P<version>{VERSION_PATTERN.strip('^$')})"
_FILE_NAME = r"(?P<name>[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)"
_LATER = re.compile(r"registry_repo/(skills|knowledge|memory)/|registry_repo/(tenants\.yaml)$")
_DOCUMENT = re.compile(rf"registry_repo/(?P<folder>{'|'.join(FOLDERS)})/{_NAME}/{_VERSION}\.(?P<ending>yaml|md)")
_CODE = re.compile(rf"registry_repo/tools/{_NAME}/{_VERSION}/.+")
_NAMED: tuple[tuple[Role, re.Pattern[str]], ...] = (
    ("stages", re.compile(rf"{STAGES_FOLDER}{_NAME}\.yaml")),
    ("suite", re.compile(rf"contract_suites/{_NAME}/suite\.yaml")),
    ("dataset", re.compile(rf"datasets/{_NAME}/dataset\.yaml")),
    ("cases", re.compile(rf"datasets/{_NAME}/cases\.jsonl")),
    ("eval", re.compile(rf"evals/{_NAME}\.yaml")),
    ("scorer", re.compile(rf"{SCORERS_FOLDER}{_FILE_NAME}\.py")),
    ("runtime", re.compile(rf"runtimes/{_NAME}\.yaml")),
)
_RECORDING = re.compile(rf"contract_suites/{_NAME}/{_VERSION}/[a-z0-9][a-z0-9-]{{0,62}}\.jsonl")
_SINGLE: dict[str, Role] = {
    TEAMS: "teams",
    RETIRED: "retired",
    PIPELINE: "pipeline",
    OPERATIONS: "operations",
    DEFINITIONS: "definitions",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What a file is: its role, and the name and version that its path gives it."""

    role: Role
    folder: str = ""
    name: str = ""
    version: str = ""


class Misplaced(Exception):
    """A file that the layout has no place for; `hint` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def document_path(folder: str, name: str, version: str) -> str:
    """Where a version of a document stands."""
    return f"registry_repo/{folder}/{name}/{version}.{'md' if folder == 'prompts' else 'yaml'}"


def scorer_path(name: str) -> str:
    """Where a project's own scorer stands."""
    return f"{SCORERS_FOLDER}{name}.py"


def dataset_paths(name: str) -> tuple[str, str]:
    """Where the two files of a dataset stand."""
    return f"datasets/{name}/dataset.yaml", f"datasets/{name}/cases.jsonl"


def place_of(path: str) -> Place:
    """What the file at `path` is; raises `Misplaced`."""
    match = _DOCUMENT.fullmatch(path)
    if match and (match["ending"] == "md") == (match["folder"] == "prompts"):
        return Place("document", match["folder"], match["name"], match["version"])
    if path in _SINGLE:
        return Place(_SINGLE[path])
    match = _CODE.fullmatch(path)
    if match:
        return Place("code", "tools", match["name"], match["version"])
    for role, pattern in _NAMED:
        match = pattern.fullmatch(path)
        if match:
            return Place(role, "", match["name"])
    match = _RECORDING.fullmatch(path)
    if match:
        return Place("recording", "", match["name"], match["version"])
    if path.rpartition("/")[2] in NOTES:
        return Place("note")
    raise _misplaced(path)


def _misplaced(path: str) -> Misplaced:
    later = _LATER.match(path)
    if later:
        return Misplaced(f"{later[1] or later[2]} is not supported by this version", "remove it")
    if path.startswith(SCORERS_FOLDER):
        wanted = f"{SCORERS_FOLDER}<name>.py: small letters, digits, - and _"
        return Misplaced("has no place among the scorers", wanted)
    folder = path.split("/")[1] if path.startswith("registry_repo/") else ""
    if folder in FOLDERS:
        ending = "md" if folder == "prompts" else "yaml"
        wanted = f"registry_repo/{folder}/<name>/<version>.{ending}"
        return Misplaced("has no place in the registry", f"{wanted}: a name is a DNS label, a version is SemVer")
    return Misplaced("has no place in this folder", "see the project layout in the documentation, or move the file")
