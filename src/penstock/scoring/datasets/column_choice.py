"""Which columns of a table become what of a case."""

from dataclasses import dataclass, replace
from typing import Any

from penstock.errors import WrongUse
from penstock.registry.document_faults import did_you_mean
from penstock.scoring.datasets.row import Table

FIELDS = ("id", "expected", "context", "tags", "cluster")


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """Column by field of a case; None or empty = the column of that very name, if there is one.

    `inputs` of one bare column is the input itself; several, or `COLUMN=NAME`, make an object of them.
    """

    id: str | None = None
    inputs: tuple[str, ...] = ()
    expected: str | None = None
    context: str | None = None
    tags: str | None = None
    cluster: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """Field of a case -> column, the input apart."""
        pairs = {name: getattr(self, name) for name in FIELDS}
        return {name: column for name, column in pairs.items() if column is not None}

    @property
    def input_names(self) -> dict[str, str]:
        """Column -> its name in the input; one bare column has the empty name, since it is the input."""
        if len(self.inputs) == 1 and "=" not in self.inputs[0]:
            return {self.inputs[0]: ""}
        pairs = (chosen.partition("=") for chosen in self.inputs)
        return {column: name or column for column, _, name in pairs}

    def settled(self, table: Table) -> "ColumnChoice":
        """The choice with all that follows from the table's column names.

        Raises `WrongUse` for a column that is not there, and where nothing says what the input is.
        """
        wanted = {*self.fields.values(), *self.input_names}
        missing = sorted(wanted - set(table.columns))
        if missing:
            hint = did_you_mean(missing[0], table.columns) or f"columns: {', '.join(table.columns)}"
            raise WrongUse(f"there is no column {missing[0]!r}", where=table.path, now=hint)
        free = [name for name in FIELDS if name in table.columns and name not in wanted and name not in self.fields]
        by_name: dict[str, Any] = {name: name for name in free}
        found = replace(self, **by_name)
        if found.inputs:
            return found
        if "input" not in table.columns:
            now = f"choose one by --input: {', '.join(table.columns)}"
            raise WrongUse("no column is called input", where=table.path, now=now)
        return replace(found, inputs=("input",))
