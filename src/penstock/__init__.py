"""Penstock: a declarative release platform for LLM agents."""

__version__ = "0.1.0"
