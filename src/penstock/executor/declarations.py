"""The runtimes that this installation declares, read from `runtimes/*.yaml` of its project."""

from pathlib import Path

from pydantic import ValidationError

from penstock.contracts.runtime import Runtime
from penstock.errors import Fault, Invalid, Unavailable
from penstock.registry.strict_yaml import parse


def read_declarations(root: Path) -> dict[str, Runtime]:
    """The declarations by name; raises `Invalid` with every fault, `Unavailable` when there are none to be read."""
    folder = root / "runtimes"
    found: dict[str, Runtime] = {}
    faults: list[Fault] = []
    for file in sorted(folder.glob("*.yaml")):
        read = _read(file)
        if isinstance(read, Fault):
            faults.append(read)
        else:
            found[file.stem] = read
    if faults:
        raise Invalid("the runtime declarations cannot be used", where=str(folder), now="mend them", faults=faults)
    if not found:
        raise Unavailable("no runtime is declared", where=str(folder), now="`agentctl init` lays down runtimes/*.yaml")
    return found


def _read(file: Path) -> Runtime | Fault:
    try:
        value, problems = parse(file.read_text("utf-8"))
        if problems:
            return Fault(str(file), 0, 0, "", str(problems[0]), "see `agentctl validate`")
        declaration = Runtime.model_validate(value)
    except (OSError, UnicodeDecodeError) as error:
        return Fault(str(file), 0, 0, "", f"cannot be read: {error}")
    except ValidationError as error:
        first = error.errors()[0]
        return Fault(str(file), 0, 0, ".".join(map(str, first["loc"])), first["msg"], "see `agentctl validate`")
    if declaration.metadata.name != file.stem:
        return Fault(str(file), 0, 0, "metadata.name", f"is {declaration.metadata.name!r}, not the file's name")
    return declaration
