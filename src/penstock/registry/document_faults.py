"""What is wrong with a document, said for the person who wrote it: from pydantic's errors to faults with a place."""

import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from penstock.contracts.document import Spec
from penstock.errors import Fault
from penstock.registry.strict_yaml import Path, Places, Problem

_TYPES = {
    "string_type": "text",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def pointer(path: Path) -> str:
    """A path as people read it: spec.toolRefs[0].ref."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean x?`, or nothing where no known word is near."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def problem_faults(path: str, problems: Iterable[Problem]) -> list[Fault]:
    """Problems of the text as faults of the file."""
    return [Fault(path, p.line, p.column, pointer(p.path), p.what, p.hint) for p in problems]


def model_faults(path: str, model: type[Spec], error: ValidationError, document: Any, places: Places) -> list[Fault]:
    """Every error of a document, once each, with the place in the file."""
    groups: dict[Path, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False, include_context=True):
        groups.setdefault(_real_path(details["loc"], document), []).append(details)
    faults = []
    for where, found in groups.items():
        what, hint = _say(model, where, found)
        key = found[0]["type"] == "extra_forbidden"
        faults.append(Fault(path, *places.of(where, key=key), pointer(where), what, hint))
    return faults


def _real_path(location: Sequence[str | int], document: Any) -> Path:
    """The location without the names of union members, which are no part of the document."""
    path: list[str | int] = []
    value = document
    for position, part in enumerate(location):
        if isinstance(value, dict) and isinstance(part, str):
            is_last = position == len(location) - 1
            if part in value:
                path.append(part)
                value = value[part]
            elif is_last:
                path.append(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path.append(part)
            value = value[part]
    return tuple(path)


def _say(model: type[Spec], where: Path, found: list[ErrorDetails]) -> tuple[str, str]:
    telling = [details for details in found if details["type"] not in _TYPES] or found
    first = telling[0]
    kind = first["type"]
    if kind == "extra_forbidden":
        return _say_unknown(model, where)
    if kind == "missing":
        return f"{where[-1]!r} is missing", "add it"
    if kind in _TYPES:
        wanted = list(dict.fromkeys(_TYPES[details["type"]] for details in telling))
        return f"should be {' or '.join(wanted)}, not {_name(first['input'])}", ""
    if kind == "literal_error":
        expected = str(first["ctx"]["expected"])
        words = expected.replace("'", "").replace(" or ", ", ").split(", ")
        return f"{first['input']!r} is none of {expected}", did_you_mean(str(first["input"]), words)
    if kind == "string_pattern_mismatch":
        return f"{first['input']!r} has the wrong form", _description(model, where)
    return first["msg"].replace("Input should", "should"), _description(model, where)


def _say_unknown(model: type[Spec], where: Path) -> tuple[str, str]:
    word = str(where[-1])
    holders = list(_models_at(model, where[:-1]))
    if any(word in holder.later for holder in holders):
        return f"{word!r} is not supported by this version", "remove it"
    known = {field.alias or name for holder in holders for name, field in holder.model_fields.items()}
    return f"unknown field {word!r}", did_you_mean(word, known) or f"known: {', '.join(sorted(known))}"


def _description(model: type[Spec], where: Path) -> str:
    if not where:
        return ""
    parents = list(_models_at(model, where[:-1]))
    for parent in parents:
        for name, field in parent.model_fields.items():
            if (field.alias or name) == where[-1]:
                return field.description or _inner_description(field.annotation)
    while where and isinstance(where[-1], int):
        where = where[:-1]
        return _description(model, where)
    return ""


def _inner_description(annotation: Any) -> str:
    """The description that an annotated member of a union or container carries."""
    for part in typing.get_args(annotation):
        text = getattr(part, "description", None) or _inner_description(part)
        if text:
            return str(text)
    return ""


def _models_at(model: type[Spec], path: Path) -> Iterator[type[Spec]]:
    """The models that may stand at `path`; several where a union allows it."""
    candidates: list[Any] = [model]
    for part in path:
        candidates = [inner for candidate in candidates for inner in _inside(candidate, part)]
    yield from (candidate for candidate in candidates if isinstance(candidate, type) and issubclass(candidate, Spec))


def _inside(candidate: Any, part: str | int) -> list[Any]:
    if isinstance(candidate, type) and issubclass(candidate, Spec):
        fields = [f.annotation for name, f in candidate.model_fields.items() if (f.alias or name) == part]
        return [member for annotation in fields for member in _members(annotation)]
    origin, arguments = typing.get_origin(candidate), typing.get_args(candidate)
    if origin is dict and isinstance(part, str):
        return _members(arguments[1])
    if origin is list and isinstance(part, int):
        return _members(arguments[0])
    return []


def _members(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin in {typing.Union, types.UnionType}:
        return [member for part in typing.get_args(annotation) for member in _members(part)]
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    return [annotation]


def _name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"text ({value[:40]!r})"
    return {"int": f"{value}", "float": f"{value}", "list": "a list", "dict": "a mapping"}[type(value).__name__]
