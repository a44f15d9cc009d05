"""The page of commands is the commands' own help."""

from pathlib import Path

from penstock.cli.help_page import help_page
from penstock.cli.main import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_of_commands_is_current() -> None:
    assert PAGE.read_text("utf-8") == help_page(), "run `make docs`"


def test_every_command_has_a_help_line_and_a_text() -> None:
    page = help_page()
    assert len(COMMANDS) > 20
    assert [name for name in COMMANDS if f"## {name}\n" not in page] == []
