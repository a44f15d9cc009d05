"""How commands speak: one JSON document on stdout with --json, text otherwise; messages go to stderr."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
import orjson

from penstock.errors import PenstockError

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Adds `--json` to a command, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(command)


def show(document: Any, text: str, *, as_json: bool) -> None:
    """Prints `document` as JSON, or `text` for people."""
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
    elif text:
        click.echo(text)


def say(message: str) -> None:
    """A message beside the result: to stderr."""
    click.echo(message, err=True)


def report_error(error: PenstockError, *, as_json: bool) -> None:
    """Prints what, where and what now: text on stderr, and the JSON document on stdout if that was asked for."""
    if as_json:
        show({"error": error.as_dict()}, "", as_json=True)
    click.echo(f"error: {error}" if not getattr(error, "faults", ()) else str(error), err=True)
