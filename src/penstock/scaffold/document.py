"""New documents from templates: an agent with all that it needs to be checked, or a tool alone."""

import re

from penstock.contracts.document import NAME_PATTERN
from penstock.errors import WrongUse
from penstock.registry.documents import Registry
from penstock.scaffold.ownership import starting_reference
from penstock.scaffold.template import Laid, render_templates

LONGEST_NAME = 63
GLOSSARY = "-glossary"


def agent_files(registry: Registry, name: str, owner: str) -> dict[str, Laid]:
    """Agent, prompt, tool, contract suite, dataset and eval suite of a new agent, all called after it.

    Raises `WrongUse` for a name that is none, `NotFound` when the registry has no model or policy to pin.
    """
    require_name(name, LONGEST_NAME - len(GLOSSARY))
    tool = f"{name}{GLOSSARY}"
    values = {
        "name": name,
        "tool": tool,
        "owner": owner,
        "model": starting_reference(registry, "models", "standard"),
        "policy": starting_reference(registry, "policies", "default"),
    }
    return {**render_templates("agent", values), **tool_files(tool, owner)}


def tool_files(name: str, owner: str) -> dict[str, Laid]:
    """A new tool with its code and a test; raises `WrongUse` for a name that is none."""
    require_name(name, LONGEST_NAME)
    return render_templates("tool", {"tool": name, "owner": owner})


def require_name(name: str, most: int) -> None:
    """Raises `WrongUse` unless the name is a DNS label of at most `most` characters."""
    if not re.match(NAME_PATTERN, name) or len(name) > most:
        raise WrongUse(
            f"{name!r} is no name",
            now=f"1 to {most} of a-z, 0-9 and -, a letter or digit at both ends, as invoice-check",
        )
