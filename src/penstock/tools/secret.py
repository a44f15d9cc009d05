"""Secrets of tools: by declared name from the environment, and out of every word that a tool says."""

from collections.abc import Mapping, Sequence

from penstock.pal import ToolFailed

SHORTEST = 4
"""A secret of fewer characters is not masked: it would mask half of any text."""


def declared_secrets(names: Sequence[str], secrets: Mapping[str, str], ref: str) -> dict[str, str]:
    """The secrets that the tool declares, and no other; raises `ToolFailed` naming those that are not set."""
    missing = [name for name in names if not secrets.get(name)]
    if missing:
        raise ToolFailed(
            f"secret {', '.join(missing)} is not set", where=ref, now="set it in the environment of the executor"
        )
    return {name: secrets[name] for name in names}


def masked(text: str, secrets: Mapping[str, str]) -> str:
    """`text` with each secret's value replaced by its name; longer values first, for one may be part of another."""
    for name, value in sorted(secrets.items(), key=lambda pair: -len(pair[1])):
        if len(value) >= SHORTEST:
            text = text.replace(value, f"[secret {name}]")
    return text
