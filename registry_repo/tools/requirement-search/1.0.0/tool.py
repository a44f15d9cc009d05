"""Finds the requirements of the platform that are nearest to a text."""

import json
from pathlib import Path
from typing import Any

from penstock.tools import ToolContext

from .ranking import Index

LIMIT = 5


def read_corpus() -> dict[str, str]:
    """The requirements by id, from the file beside this one."""
    lines = (Path(__file__).parent / "requirements.jsonl").read_text("utf-8").splitlines()
    return {row["id"]: row["text"] for row in map(json.loads, lines)}


CORPUS = read_corpus()
INDEX = Index(CORPUS)


async def search(arguments: dict[str, Any], ctx: ToolContext) -> dict[str, Any]:
    """At most `params.limit` requirements, the best first."""
    hits = INDEX.search(arguments["query"], ctx.params.get("limit", LIMIT))
    return {"hits": [{"id": name, "text": CORPUS[name], "score": round(score, 3)} for name, score in hits]}
