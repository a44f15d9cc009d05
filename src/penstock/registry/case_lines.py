"""The lines of a cases.jsonl: each a case, every fault by its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
from pydantic import ValidationError

from penstock.contracts.canonical import canonical
from penstock.contracts.dataset import Case
from penstock.errors import Fault
from penstock.registry.document_faults import model_faults
from penstock.registry.strict_yaml import Places

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONG_NUMBER = re.compile(rb"\d{16}")


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A well-formed case, the line that it stands on (from 1), and the JSON object as written."""

    line: int
    case: Case
    document: dict[str, Any]


def read_case_lines(path: str, data: bytes) -> tuple[list[CaseLine], list[Fault]]:
    """Every well-formed case and every fault; empty lines are none. Ids may repeat: see `repeated_ids`."""
    if data.startswith(_BYTE_ORDER_MARK):
        return [], [Fault(path, 1, 1, "", "starts with a byte order mark", "save as UTF-8 without BOM")]
    lines: list[CaseLine] = []
    faults: list[Fault] = []
    for number, text in enumerate(data.splitlines(), 1):
        if text.strip():
            found = read_case(path, number, text)
            if isinstance(found, CaseLine):
                lines.append(found)
            else:
                faults += found
    return lines, faults


def read_case(path: str, number: int, text: bytes) -> CaseLine | list[Fault]:
    """The case on line `number`, or all that is wrong with it."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return [Fault(path, number, error.colno, "", f"is no JSON: {error.msg}", "one JSON object a line")]
    if not isinstance(document, dict):
        return [Fault(path, number, 1, "", "is no case", "a JSON object with a text `id` and an `input`")]
    if _LONG_NUMBER.search(text):
        try:
            canonical(document)
        except ValueError as error:
            return [
                Fault(path, number, 1, "", f"has a number that JSON cannot say exactly: {error}", "write it as text")
            ]
    try:
        return CaseLine(number, Case.model_validate(document), document)
    except ValidationError as error:
        return [replace(fault, line=number) for fault in model_faults(path, Case, error, document, Places())]


def repeated_ids(path: str, lines: list[CaseLine]) -> Iterator[Fault]:
    """A fault for every id that stood on an earlier line."""
    first: dict[str, int] = {}
    for one in lines:
        if one.case.id in first:
            what = f"id {one.case.id!r} is there twice, first on line {first[one.case.id]}"
            yield Fault(path, one.line, 1, "", what, "ids are unique")
        first.setdefault(one.case.id, one.line)
