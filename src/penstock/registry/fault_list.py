"""Collecting faults with their places: a file's position map is built only once the file has a fault."""

from collections.abc import Callable

from penstock.errors import Fault
from penstock.registry.document_faults import pointer
from penstock.registry.prompt_file import PromptFile, split_prompt
from penstock.registry.strict_yaml import Path, Places, parse


def read_places(path: str, data: bytes) -> Places:
    """Where everything in a YAML file, or in a prompt's front matter, stands."""
    places, first_line = Places(), 1
    if path.endswith(".md"):
        halves = split_prompt(data)
        data, first_line = (halves.front, 2) if isinstance(halves, PromptFile) else (b"", 1)
    parse(data.decode("utf-8", "replace"), first_line=first_line, places=places)
    return places


class FaultList:
    """Faults of many files; `read` gives a file's bytes."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self.faults: list[Fault] = []
        self._read = read
        self._places: dict[str, Places] = {}

    def blame(self, path: str, where: Path, what: str, hint: str = "", *, key: bool = False) -> None:
        """A fault at a place inside a document: at its value, or at its key."""
        if path not in self._places:
            self._places[path] = read_places(path, self._read(path))
        line, column = self._places[path].of(where, key=key)
        self.faults.append(Fault(path, line, column, pointer(where), what, hint))

    def blame_line(self, path: str, line: int, column: int, what: str, hint: str = "") -> None:
        """A fault at a place of a file that is no document."""
        self.faults.append(Fault(path, line, column, "", what, hint))

    def blame_file(self, path: str, what: str, hint: str = "") -> None:
        """A fault of a file as a whole."""
        self.faults.append(Fault(path, 0, 0, "", what, hint))
