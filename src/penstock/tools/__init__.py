"""Tools at their pinned code. `ToolContext` is what a tool's author imports; nothing heavy comes with it."""

from penstock.tools.context import ToolContext

__all__ = ["ToolContext"]
