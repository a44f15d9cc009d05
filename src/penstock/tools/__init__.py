"""How a tool's code at its pinned version is loaded and run."""
