"""The operations of an installation: `pipelines/operations.yaml` of its project, read again when it changes."""

import logging
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from penstock.contracts.operations import Operations, OperationsSpec
from penstock.errors import Fault, Invalid
from penstock.registry.document_faults import model_faults, problem_faults
from penstock.registry.fault_list import read_places
from penstock.registry.layout import OPERATIONS
from penstock.registry.strict_yaml import decode, parse

LOG = logging.getLogger("penstock.executor")


class OperationsFile:
    """The file as it stands; `look` reads it again if it changed, and a bad one leaves the last good one in force."""

    def __init__(self, root: Path) -> None:
        """Raises `Invalid` with every fault: nobody starts under limits that cannot be read."""
        self._file = root / OPERATIONS
        self._stamp = self._stat()
        self.problem: Invalid | None = None
        self.spec = read_operations(self._file)

    def look(self, changed: Callable[[OperationsSpec], None]) -> None:
        """Calls `changed` with what a changed file says; `problem` says why it cannot be used."""
        stamp = self._stat()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.spec = read_operations(self._file)
        except Invalid as problem:
            self.problem = problem
            LOG.error("the last good operations stay in force: %s", problem)
            return
        self.problem = None
        LOG.info("%s was read again", OPERATIONS)
        changed(self.spec)

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def read_operations(file: Path) -> OperationsSpec:
    """What the file says, the defaults where there is none; raises `Invalid` with every fault."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return OperationsSpec.model_validate({})
    except OSError as error:
        raise _invalid(file, [Fault(str(file), 0, 0, "", f"cannot be read: {error}")]) from None
    text, problems = decode(data)
    value = None
    if not problems:
        value, problems = parse(text)
    if problems:
        raise _invalid(file, problem_faults(str(file), problems))
    try:
        return Operations.model_validate(value).spec
    except ValidationError as error:
        places = read_places(str(file), data)
        raise _invalid(file, model_faults(str(file), Operations, error, value, places)) from None


def _invalid(file: Path, faults: list[Fault]) -> Invalid:
    return Invalid("the operations cannot be used", where=str(file), now="mend them", faults=faults)
