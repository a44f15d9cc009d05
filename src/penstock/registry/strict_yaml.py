"""Strict YAML: the part of YAML 1.2 that says the same to everyone, with the place of every fault.

One pass over the C parser's events builds the value and refuses tags, aliases, anchors, duplicate keys, merge keys,
directives and further documents. Scalars take the core types, except that `NO`, `010` and dates stay strings. Size,
depth and number of values are bounded.
"""

import math
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from penstock.registry.plain_yaml import MOST_DEPTH, Unusual, parse_plain

MOST_BYTES = 256 * 1024
MOST_VALUES = 20_000
LARGEST_INTEGER = 2**53 - 1

Path = tuple[str | int, ...]
Mark = Any

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, Any] = {
    "": None,
    **dict.fromkeys(["~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_SPECIAL_STARTS = frozenset("-+.0123456789~ntfNTF")
_BASES = {"0o": 8, "0x": 16}
_NO_KEY: Any = object()


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the text at a place; `line` and `column` count from 1."""

    line: int
    column: int
    path: Path
    what: str
    hint: str = ""


@dataclass(slots=True)
class Places:
    """Where each value, and each key, of a document stands: path -> (line, column)."""

    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def of(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """The place of a value (or its key), or of the nearest value around it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))


def decode(data: bytes) -> tuple[str, list[Problem]]:
    """The text of a file: UTF-8 without BOM, LF line ends, NFC."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "", [Problem(line, error.start - data.rfind(b"\n", 0, error.start), (), "is not UTF-8", "save as UTF-8")]
    problems = []
    if text.startswith("\ufeff"):
        problems.append(Problem(1, 1, (), "starts with a byte order mark", "save as UTF-8 without BOM"))
    if "\r" in text:
        before = text[: text.index("\r")]
        column = len(before) - before.rfind("\n")
        problems.append(Problem(before.count("\n") + 1, column, (), "has a carriage return", "end lines by LF alone"))
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        lines = text.split("\n")
        line = next((n for n, row in enumerate(lines, 1) if not unicodedata.is_normalized("NFC", row)), 1)
        problems.append(Problem(line, 1, (), "is not in Unicode form NFC", "normalise the text to NFC"))
    return text, problems


def parse(text: str, *, first_line: int = 1, places: Places | None = None) -> tuple[Any, list[Problem]]:
    """The document's value and everything that is wrong with its YAML.

    `first_line` is the file's line on which `text` starts; `places` is filled when given.
    """
    if places is None:
        with suppress(Unusual, ValueError):
            return parse_plain(text, scalar), []
    composer = _Composer(places, first_line)
    if len(text) > MOST_BYTES:
        composer.blame(None, f"is larger than {MOST_BYTES} bytes", "split it")
        return None, composer.problems
    try:
        composer.run(CParser(text))
    except (YAMLError, _Stop) as error:
        composer.blame_error(error)
    return composer.root, composer.problems


def scalar(text: str) -> Any:
    """What a scalar without quotes is; raises `ValueError` for a number that JSON cannot say exactly."""
    if text and text[0] not in _SPECIAL_STARTS:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        value = int(text, _BASES.get(text[:2], 10)) if len(text) < 32 else LARGEST_INTEGER + 1
        if abs(value) > LARGEST_INTEGER:
            raise ValueError(f"integer {text[:32]} is beyond 2^53")
        return value
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"number {text[:32]} is too large")
        return number
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is no JSON number")
    return text


class _Stop(Exception):
    """Reading cannot go on: the document goes beyond a bound, or is none."""

    def __init__(self, what: str, mark: Mark) -> None:
        super().__init__(what)
        self.mark = mark


class _Composer:
    """Builds one value from events; open containers are a stack, so that depth costs no Python frames."""

    def __init__(self, places: Places | None, first_line: int) -> None:
        self.root: Any = None
        self.problems: list[Problem] = []
        self.places = places
        self.offset = first_line
        self.count = 0
        self.documents = 0
        self.stack: list[tuple[Any, Any]] = []
        self.container: Any = None
        self.key: Any = _NO_KEY

    def run(self, parser: Any) -> None:
        get_event = parser.get_event
        while True:
            event = get_event()
            kind = type(event)
            if kind is ScalarEvent:
                self.add_scalar(event)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self.open(event, {} if kind is MappingStartEvent else [])
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self.container, self.key = self.stack.pop()[0], _NO_KEY
            elif kind is AliasEvent:
                self.blame(event.start_mark, f"alias *{event.anchor} is not allowed", "write the value out")
                self.add(event, f"*{event.anchor}")  # it may stand where a key is wanted
            elif kind is DocumentStartEvent:
                self.start(event)
            elif kind is StreamEndEvent or event is None:
                return

    def start(self, event: DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            raise _Stop("a second document is not allowed: one document a file", event.start_mark)
        if event.version or event.tags:
            self.blame(event.start_mark, "directives (%YAML, %TAG) are not allowed", "remove them")

    def add_scalar(self, event: ScalarEvent) -> None:
        if event.tag is not None or event.anchor is not None:
            self.check_marks(event)
        text = event.value
        value: Any = text
        if not event.style:
            if text == "<<" and self.key is _NO_KEY and type(self.container) is dict:
                self.blame(event.start_mark, "merge key << is not allowed", "write the keys out")
            try:
                value = scalar(text)
            except ValueError as error:
                self.blame(event.start_mark, str(error), "write it as a string, in quotes")
                value = 0
        self.add(event, value)

    def open(self, event: Any, value: Any) -> None:
        if event.tag is not None or event.anchor is not None:
            self.check_marks(event)
        if len(self.stack) >= MOST_DEPTH:
            raise _Stop(f"is nested deeper than {MOST_DEPTH} levels", event.start_mark)
        self.add(event, value)
        self.stack.append((self.container, self.key))
        self.container, self.key = value, _NO_KEY

    def add(self, event: Any, value: Any) -> None:
        self.count += 1
        if self.count > MOST_VALUES:
            raise _Stop(f"has more than {MOST_VALUES} values", event.start_mark)
        container = self.container
        if type(container) is list:
            container.append(value)
        elif container is None:
            self.root = value
        elif self.key is _NO_KEY:
            self.key = self.check_key(event, value)
            return
        else:
            container[self.key] = value
        if self.places is not None:
            self.places.values[self.path()] = self.place(event.start_mark)
        if type(container) is dict and not isinstance(value, dict | list):
            self.key = _NO_KEY

    def check_key(self, event: Any, value: Any) -> str:
        if isinstance(value, dict | list):
            raise _Stop("a key must be a string", event.start_mark)
        if type(value) is not str:
            self.blame(event.start_mark, "a key must be a string", "put it in quotes")
            value = str(event.value)
        if value in self.container:
            self.blame(event.start_mark, f"key {value!r} is written twice", "remove one of them")
        if self.places is not None:
            self.places.keys[(*self.path()[:-1], value)] = self.place(event.start_mark)
        return str(value)

    def check_marks(self, event: Any) -> None:
        if event.tag is not None:
            self.blame(event.start_mark, f"tag {event.tag} is not allowed", "remove it")
        if event.anchor is not None:
            self.blame(event.start_mark, f"anchor &{event.anchor} is not allowed", "remove it")

    def path(self) -> Path:
        levels = [*self.stack[1:], (self.container, self.key)] if self.container is not None else []
        return tuple(len(level) - 1 if type(level) is list else key for level, key in levels)

    def place(self, mark: Mark | None) -> tuple[int, int]:
        return (mark.line + self.offset, mark.column + 1) if mark is not None else (self.offset, 1)

    def blame(self, mark: Mark | None, what: str, hint: str = "") -> None:
        known = tuple(part for part in self.path() if part is not _NO_KEY)
        self.problems.append(Problem(*self.place(mark), known, what, hint))

    def blame_error(self, error: Exception) -> None:
        if isinstance(error, _Stop):
            self.blame(error.mark, str(error))
        elif isinstance(error, MarkedYAMLError):
            about = f" ({error.context})" if error.context else ""
            self.blame(error.problem_mark, f"is no YAML: {error.problem}{about}")
        elif isinstance(error, ReaderError):
            self.blame(None, f"is no YAML: {error.reason}", "remove the character")
        else:
            self.blame(None, f"is no YAML: {error}")
