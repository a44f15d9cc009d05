"""Every command that the guides of the release path show is one that `agentctl` takes."""

import re
import shlex
from pathlib import Path

import click
import pytest

from penstock.cli.main import agentctl

DOCS = Path(__file__).parents[2] / "docs"


def shown(page: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.mark.parametrize("line", [*shown("promotion.md"), *shown("rollback.md")])
def test_a_command_of_the_guides_is_taken(line: str) -> None:
    program, name, *words = shlex.split(line)
    assert program == "agentctl"
    command = agentctl.get_command(click.Context(agentctl), name)
    assert command is not None
    parsed = command.make_context(name, words)
    assert parsed.args == []
