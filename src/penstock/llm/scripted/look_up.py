"""Which tool the scripted model calls next: those that the system prompt names, once, or twice if it says so."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.llm.scripted.conversation import Conversation
from penstock.llm.scripted.schema_fit import fit
from penstock.llm.scripted.words import key_words

_LIMIT_WORDS = ("limit", "refused", "forbidden")


@dataclass(frozen=True, slots=True)
class LookUp:
    """A call to make."""

    tool: str
    arguments: dict[str, Any]


def next_look_up(conversation: Conversation) -> LookUp | None:
    """The next call, or None once every tool that the prompt names has been called often enough."""
    for function in conversation.tools:
        name = str(function.get("name", ""))
        if not name or not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", conversation.system):
            continue
        done = conversation.calls_of(name)
        if done < _times(conversation):
            return LookUp(name, _arguments(function, conversation, done))
    return None


def found_ids(conversation: Conversation) -> list[str]:
    """The ids of all hits that the look-ups brought, each once, in their order."""
    return list(dict.fromkeys(str(hit["id"]) for hit in hits(conversation)))


def hits(conversation: Conversation) -> list[Mapping[str, Any]]:
    """The hits of all look-ups: what a tool gave under `hits`, with an id."""
    found: list[Mapping[str, Any]] = []
    for _, result in conversation.results:
        listed = result.get("hits") if isinstance(result, dict) else None
        found += [hit for hit in listed or () if isinstance(hit, dict) and "id" in hit]
    return found


def _times(conversation: Conversation) -> int:
    return 2 if conversation.asks_for(r"look up[^.]*\btwice\b") else 1


def _arguments(function: Mapping[str, Any], conversation: Conversation, done: int) -> dict[str, Any]:
    """Key words for every text that the tool wants; on the second look-up those of limits and prohibitions."""
    words = key_words(_subject(conversation))
    query = " ".join([*_LIMIT_WORDS, *words[:4]] if done else words) or "requirement"
    schema = function.get("parameters")
    schema = schema if isinstance(schema, dict) else {}
    properties = schema.get("properties")
    names = properties if isinstance(properties, dict) else {}
    texts = {name: query for name, shape in names.items() if isinstance(shape, dict) and shape.get("type") == "string"}
    arguments = fit({"type": "object", **schema}, texts, conversation)
    return arguments if isinstance(arguments, dict) else {}


def _subject(conversation: Conversation) -> str:
    cases = conversation.document.get("testCases") if isinstance(conversation.document, dict) else None
    if isinstance(cases, list):
        return " ".join(str(case.get("title", "")) for case in cases if isinstance(case, dict))
    return conversation.text
