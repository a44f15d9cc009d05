"""Templates: real files under templates/, with `{{ name }}` put in and `_name_` in their paths, and no logic."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from penstock.registry.prompt_text import render

ENDING = ".tmpl"
"""Ends each template's name, so that no tool takes one for what it becomes."""


@dataclass(frozen=True, slots=True)
class Laid:
    """One file to lay down."""

    data: bytes
    is_executable: bool = False


def render_templates(folder: str, values: Mapping[str, str]) -> dict[str, Laid]:
    """Path -> file of every template below `folder`; a first line `#!` makes a file executable.

    In paths `_name_` stands for the value of `name`, and `dot-` at the start of a part for a dot.
    """
    made = {}
    for path, text in _walk(files("penstock.scaffold") / "templates" / folder):
        for name, value in values.items():
            path = path.replace(f"_{name}_", value)
        made[path] = Laid(render(text, values).encode(), text.startswith("#!"))
    return made


def _walk(folder: Traversable, before: str = "") -> list[tuple[str, str]]:
    found = []
    for place in sorted(folder.iterdir(), key=lambda place: place.name):
        name = place.name.replace("dot-", ".", 1) if place.name.startswith("dot-") else place.name
        if place.is_dir():
            found += _walk(place, f"{before}{name}/")
        elif name.endswith(ENDING):
            found.append((f"{before}{name.removesuffix(ENDING)}", place.read_text("utf-8")))
    return found
