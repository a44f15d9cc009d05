"""docs/commands.md, written from the commands' own help: `python -m penstock.cli.help_page`."""

import click

from penstock.cli.main import COMMANDS, agentctl

WIDTH = 100


def help_page() -> str:
    """The page: a table of all commands, then each one's help."""
    settings = {**agentctl.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    parent = click.Context(agentctl, info_name="agentctl", **settings)
    rows = [f"| [`{name}`](#{name}) | {text} |" for name, (_, text) in COMMANDS.items()]
    head = ["# Commands", "", "Written by `make docs` from the commands' own help.", ""]
    return "\n".join(
        [*head, "| command | does |", "|---|---|", *rows, "", *(_section(parent, name) for name in COMMANDS)]
    )


def _section(parent: click.Context, name: str) -> str:
    command = agentctl.get_command(parent, name)
    assert command is not None
    context = click.Context(command, parent=parent, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH)
    parts = [f"## {name}", "", "```text", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            inner = click.Context(below, parent=context, info_name=word, max_content_width=WIDTH, terminal_width=WIDTH)
            parts += [f"### {name} {word}", "", "```text", below.get_help(inner), "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    click.echo(help_page(), nl=False)
