"""Extras that a command needs: what is not installed is said with the line that brings it."""

import importlib.util
from collections.abc import Iterable

from penstock.errors import Unavailable


def require_installed(names: Iterable[str], extra: str) -> None:
    """Raises `Unavailable`, naming the extra, unless all of these modules can be imported; imports none of them."""
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}", now=f"pip install 'penstock[{extra}]'")


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # something else stands under that name
        return False
