"""Tools at their pinned code. `ToolContext` and `TryAgain` are what its author imports; nothing heavy comes along."""

from penstock.tools.context import ToolContext
from penstock.tools.try_again import TryAgain

__all__ = ["ToolContext", "TryAgain"]
