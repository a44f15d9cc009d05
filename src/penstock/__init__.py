"""Penstock: a declarative release platform and eval harness for LLM agents."""

__version__ = "0.1.0"
