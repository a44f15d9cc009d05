"""A prompt's file: front matter between two --- lines, then the body, byte for byte."""

from dataclasses import dataclass

from penstock.registry.strict_yaml import Problem

_LINE = b"---\n"


@dataclass(frozen=True, slots=True)
class PromptFile:
    """The two halves; the front matter starts on line 2 of the file."""

    front: bytes
    body: bytes
    body_line: int


def split_prompt(data: bytes) -> PromptFile | Problem:
    """The halves of a prompt's file. The body is the bytes after the second --- line, less one final newline."""
    if not data.startswith(_LINE):
        return Problem(1, 1, (), "does not start with a --- line", "write the front matter between two --- lines")
    end = data.find(b"\n" + _LINE, len(_LINE) - 1)
    if end < 0:
        return Problem(1, 1, (), "has no second --- line", "write the front matter between two --- lines")
    body = data[end + 1 + len(_LINE) :]
    body_line = data.count(b"\n", 0, end + 1 + len(_LINE)) + 1
    return PromptFile(data[len(_LINE) : end + 1], body.removesuffix(b"\n"), body_line)
