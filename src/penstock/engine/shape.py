"""Shape: a JSON Schema made ready to check values with."""

from collections.abc import Mapping
from typing import Any

from penstock.contracts.json_schema import compile_schema
from penstock.errors import Fault, Invalid


class Shape:
    """One JSON Schema (2020-12), compiled once.

    Raises `Invalid` for a schema that is none; references to other documents are never fetched.
    """

    def __init__(self, schema: Mapping[str, Any], where: str) -> None:
        self.schema = schema
        self.where = where
        try:
            self._validator = compile_schema(dict(schema))
        except ValueError as error:
            raise Invalid(f"no JSON Schema: {error}", where=where, now="mend the schema") from None

    @property
    def is_object(self) -> bool:
        """Whether values must be objects: output text is then read as JSON."""
        return self.schema.get("type") == "object"

    @property
    def is_text(self) -> bool:
        """Whether values are plain strings."""
        return self.schema.get("type") == "string"

    def fits(self, value: Any) -> bool:
        """Whether the value has no fault."""
        return self._validator.is_valid(value)

    def faults(self, value: Any) -> list[Fault]:
        """Every fault of the value; `pointer` is the place in it. Messages may quote the value."""
        return [
            Fault(self.where, 0, 0, _pointer(error.instance_path), error.message)
            for error in self._validator.iter_errors(value)
        ]


def places(faults: list[Fault]) -> str:
    """Where the faults are, without a word of the value: fit for events."""
    pointers = sorted({fault.pointer or "/" for fault in faults})
    return f"{len(faults)} fault{'s' if len(faults) != 1 else ''} at {', '.join(pointers)}"


def _pointer(path: list[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
