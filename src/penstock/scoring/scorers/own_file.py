"""Parameters that name a file of `evals/scorers/`."""

from typing import Annotated, Final, get_args

from pydantic import BaseModel, Field

OWN_PREFIX: Final = "own/"


class _NamesOwnFile:
    """Marks the type, so that the file is found and becomes part of the scorer's digest."""


OwnReference = Annotated[
    str,
    Field(pattern=r"^own/[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$", description="own/<file> of evals/scorers/<file>.py."),
    _NamesOwnFile(),
]


def named_files(parameters: BaseModel) -> list[str]:
    """The files that a scorer's parameters name, without `own/`, sorted."""
    found = set()
    for name, field in type(parameters).model_fields.items():
        value = getattr(parameters, name)
        may_name = OwnReference in get_args(field.annotation) or any(
            isinstance(one, _NamesOwnFile) for one in field.metadata
        )
        if may_name and isinstance(value, str) and value.startswith(OWN_PREFIX):
            found.add(value.removeprefix(OWN_PREFIX))
    return sorted(found)
