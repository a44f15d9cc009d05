import asyncio
import json

from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scaffold.reference import reference_root
from penstock.tools import ToolContext
from penstock.tools.package import forget, import_entry

ROOT = reference_root()


def test_the_examples_of_the_tool_are_what_it_answers() -> None:
    spec = load_registry(TreeSource(ROOT), default_runtime="langgraph").get("tools/requirement-search@1.0.0").spec
    folder = ROOT / "registry_repo/tools/requirement-search/1.0.0"
    search = import_entry(folder, "penstock_tool_reference", spec.implementation.entry)
    try:
        for example in spec.examples:
            answer = asyncio.run(search(example.arguments, ToolContext("c", "k", 0.0, {"limit": 1})))
            assert answer == example.result
    finally:
        forget("penstock_tool_reference")
    assert spec.examples


def test_every_requirement_of_the_corpus_is_found_by_its_own_words() -> None:
    folder = ROOT / "registry_repo/tools/requirement-search/1.0.0"
    rows = [json.loads(line) for line in (folder / "requirements.jsonl").read_text("utf-8").splitlines()]
    search = import_entry(folder, "penstock_tool_reference", "tool:search")
    try:
        for row in rows:
            answer = asyncio.run(search({"query": row["text"]}, ToolContext("c", "k", 0.0, {"limit": 1})))
            assert answer["hits"][0]["id"] == row["id"]
    finally:
        forget("penstock_tool_reference")
    assert len(rows) > 80
