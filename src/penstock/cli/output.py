"""How commands speak: one JSON document on stdout with --json, text otherwise; messages go to stderr."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import orjson

from penstock.errors import PenstockError, Unavailable
from penstock.reporting.visible_text import visible

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Adds `--json` to a command, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(command)


def write(text: str, *, err: bool = False, newline: bool = True) -> None:
    """Prints to stdout or stderr; a reader that has left (`| head`) does not change the command's answer.

    Raises `Unavailable` where it cannot be written, as on a full disk.
    """
    try:
        click.echo(text, nl=newline, err=err)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())
        os.close(nowhere)
    except OSError as error:
        where = "standard error" if err else "standard output"
        now = "send it elsewhere; what the command did is done"
        raise Unavailable(f"cannot be written: {error.strerror}", where=where, now=now) from None


def show(document: Any, text: str, *, as_json: bool) -> None:
    """Prints `document` as JSON, or `text` for people: what models and tools said in it cannot steer a terminal."""
    if as_json:
        write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
    elif text:
        write(visible(text))


def say(message: str) -> None:
    """A message beside the result: to stderr."""
    write(visible(message), err=True)


def report_error(error: PenstockError, *, as_json: bool) -> None:
    """Prints what, where and what now: text on stderr, and the JSON document on stdout if that was asked for."""
    with contextlib.suppress(Unavailable):  # there is no other place to say it
        if as_json:
            show({"error": error.as_dict()}, "", as_json=True)
    with contextlib.suppress(Unavailable):
        write(visible(f"error: {error}" if not getattr(error, "faults", ()) else str(error)), err=True)
