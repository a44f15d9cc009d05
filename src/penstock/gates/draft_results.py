"""Draft results in a folder: what one job of a merge request found, the next one need not measure again.

They are never evidence. A result is found again by its inputs, as stored ones are.
"""

from collections.abc import Iterator
from pathlib import Path

import orjson
from pydantic import ValidationError

from penstock.contracts.evidence import Evidence
from penstock.contracts.gate_result import GateResult
from penstock.errors import Unavailable


class DraftResults:
    """The results of drafts below one folder, a file each, named by its id; what is no draft stays out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def results(self, release: str) -> Iterator[GateResult]:
        """All results of a release; raises `Unavailable` for a file that is not what was written."""
        for file in sorted(self._folder.glob("*.json")):
            result = _read(file)
            if result.release == release:
                yield result

    def put_result(self, result: GateResult) -> None:
        """Keeps one result; raises `Unavailable` when the folder cannot be written."""
        assert result.origin == "draft", "what counts is kept in the release store"
        place = self._folder / f"{result.id.removeprefix('sha256:')}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            place.write_bytes(orjson.dumps(result.as_document()))
        except OSError as error:
            raise Unavailable(
                f"a result cannot be kept: {error.strerror}", where=str(place), now="see the folder's permissions"
            ) from None

    def put_evidence(self, evidence: Evidence) -> None:
        """Keeps nothing: no approval binds to a draft."""


def _read(file: Path) -> GateResult:
    try:
        result = GateResult.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        result = None
    if result is None or result.origin != "draft" or result.id != result.computed_id:
        raise Unavailable("holds no draft result", where=str(file), now="remove it: the gate then runs again")
    return result
