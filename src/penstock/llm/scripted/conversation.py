"""A chat as the scripted model reads it: what the system prompt asks for, what the user gave, what tools said."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_READ_CHARACTERS = 20_000
_LANGUAGE = re.compile(r"\b(?:write|answer)\s+in\s+([A-Za-z]+)", re.IGNORECASE)
_TEXT_KEYS = ("requirement", "text", "question", "message", "query", "input", "content", "title")


@dataclass(frozen=True, slots=True)
class Conversation:
    """One chat; texts are read up to 20,000 characters."""

    system: str
    text: str
    document: Any
    tools: tuple[Mapping[str, Any], ...]
    results: tuple[tuple[str, Any], ...]
    calls_made: int

    @classmethod
    def read(cls, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> "Conversation":
        """Reads the chat protocol's messages and tools; anything odd in them is left aside."""
        system = "\n".join(_text(m) for m in messages if m.get("role") in ("system", "developer"))
        start, user = _turn(messages)
        document = _json(user)
        offered = tuple(t["function"] for t in tools if isinstance(t.get("function"), Mapping))
        return cls(
            system[:_READ_CHARACTERS],
            _main_text(document, user)[:_READ_CHARACTERS],
            document,
            offered,
            tuple(_results(messages[start:])),
            sum(1 for _ in _calls(messages[start:])),
        )

    @property
    def language(self) -> str:
        """The language that the prompt asks for, in lower case; English if it names none."""
        match = _LANGUAGE.search(self.system)
        return match[1].lower() if match else "english"

    @property
    def product(self) -> str:
        """The product that the input names; empty if it names none."""
        product = self.document.get("product") if isinstance(self.document, dict) else None
        return product.strip() if isinstance(product, str) else ""

    def asks_for(self, pattern: str) -> bool:
        """Whether the system prompt has the pattern, upper and lower case alike."""
        return re.search(pattern, self.system, re.IGNORECASE) is not None

    def calls_of(self, tool: str) -> int:
        """How often the tool was answered in this turn."""
        return sum(1 for name, _ in self.results if name == tool)


def _turn(messages: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Where the current turn starts, and what the user gave: a complaint about the own answer starts no turn."""
    users = [position for position, message in enumerate(messages) if message.get("role") == "user"]
    while len(users) > 1 and _is_repair(messages, users[-1]):
        users.pop()
    return (users[-1], _text(messages[users[-1]])) if users else (0, "")


def _is_repair(messages: Sequence[Mapping[str, Any]], position: int) -> bool:
    """Whether a user message only complains about JSON that stands just before it, and brings none of its own."""
    before = messages[position - 1]
    return (
        before.get("role") == "assistant"
        and not isinstance(_json(_text(messages[position])), dict)
        and "schema" in _text(messages[position]).lower()
    )


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _main_text(document: Any, user: str) -> str:
    """The text that the input is about: a well-known field of it, else its longest text, else all of it."""
    if isinstance(document, str):
        return document
    if not isinstance(document, dict):
        return user
    for key in _TEXT_KEYS:
        if isinstance(document.get(key), str):
            return str(document[key])
    texts = [value for value in document.values() if isinstance(value, str)]
    return max(texts, key=len) if texts else user


def _calls(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        yield from (call for call in message.get("tool_calls") or () if isinstance(call, Mapping))


def _results(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    names = {call.get("id"): (call.get("function") or {}).get("name", "") for call in _calls(messages)}
    for message in messages:
        if message.get("role") == "tool":
            yield names.get(message.get("tool_call_id"), ""), _json(_text(message))
