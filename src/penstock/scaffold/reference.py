"""Where the reference content is: in the wheel beside the package, in a source checkout at the repository's root."""

from pathlib import Path

import penstock
from penstock.errors import Unavailable


def reference_root() -> Path:
    """The folder that holds registry_repo, contract_suites, datasets, evals, runtimes and pipelines.

    Raises `Unavailable` when the installation has lost it.
    """
    package = Path(penstock.__file__).resolve().parent
    for folder in (package / "reference", package.parents[1]):
        if (folder / "registry_repo" / "agents").is_dir():
            return folder
    raise Unavailable("the reference content is not installed", where=str(package), now="install penstock again")


def reference_files(*paths: str) -> dict[str, bytes]:
    """Path -> bytes of these files, and of all files below those that are folders; what is not there is left out."""
    root = reference_root()
    found = {}
    for path in paths:
        place = root / path
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                found[file.relative_to(root).as_posix()] = file.read_bytes()
    return found
