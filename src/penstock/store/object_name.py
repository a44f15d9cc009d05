"""Names of objects: plain relative paths that do not leave the store."""

import re

from penstock.errors import WrongUse

_NAME = re.compile(r"[A-Za-z0-9@+_-][A-Za-z0-9@+._-]*(/[A-Za-z0-9@+_-][A-Za-z0-9@+._-]*)*")


def checked_name(name: str) -> str:
    """`name` if it is a plain relative path that does not leave the store; raises `WrongUse`."""
    if not _NAME.fullmatch(name):
        raise WrongUse(f"{name!r} is no name of an object", now="names are parts of letters, digits, @ + . _ -")
    return name
