r"""A prompt's body: declared variables put in once, nothing else.

`{{name}}` or `{{ name }}` is a variable, `\{{` stands for two braces, any other `{{` is a fault. What is put in is
never looked at again, so that no value can bring variables of its own.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from penstock.contracts.canonical import canonical
from penstock.contracts.prompt import VARIABLE_PATTERN
from penstock.errors import Invalid
from penstock.registry.strict_yaml import Problem

_PART = re.compile(
    r"(?P<literal>\\\{\{)"
    rf"|\{{\{{(?:(?P<tight>{VARIABLE_PATTERN})| (?P<wide>{VARIABLE_PATTERN}) )\}}\}}"
    r"|(?P<other>\{\{)"
)


def template_faults(body: str, declared: Collection[str]) -> list[Problem]:
    """Every `{{` that is no variable, every variable that is not declared, every declared one that is not used.

    Lines count from the body's first.
    """
    problems, used = [], set()
    for match in _PART.finditer(body):
        name = match["tight"] or match["wide"]
        if name:
            used.add(name)
        if match["other"]:
            hint = r"write {{ name }}, or \{{ for the braces themselves"
            problems.append(Problem(*_place(body, match.start()), (), "{{ is no variable", hint))
        elif name and name not in declared:
            hint = f"declare it in spec.variables: {', '.join(sorted(declared)) or 'none'} so far"
            problems.append(Problem(*_place(body, match.start()), (), f"variable {name!r} is not declared", hint))
    problems += [
        Problem(1, 1, ("spec", "variables", name), f"variable {name!r} is not used", "use it in the body, or remove it")
        for name in declared
        if name not in used
    ]
    return problems


def render(body: str, values: Mapping[str, Any]) -> str:
    """The body with its variables put in: text as it is, all else as canonical JSON.

    Raises `Invalid` for a variable without a value and for a `{{` that is no variable.
    """

    def put_in(match: re.Match[str]) -> str:
        if match["literal"]:
            return "{{"
        name = match["tight"] or match["wide"]
        if not name or name not in values:
            what = f"variable {name!r} has no value" if name else "{{ is no variable"
            raise Invalid(what, where="prompt body", now="`agentctl validate` shows the place")
        value = values[name]
        return value if isinstance(value, str) else canonical(value).decode()

    return _PART.sub(put_in, body)


def _place(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
