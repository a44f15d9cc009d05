"""Excerpts: the head and the tail of a text that is too long, with a word on what was cut."""

from penstock.engine.context.token_count import text_tokens
from penstock.pal import Message

SHORTEST = 200
_MARK = "\n[... {cut} of {whole} characters were cut here ...]\n"


def excerpt(text: str, characters: int) -> str:
    """The text, or its head and tail in at most `characters` (200 or more); two thirds of that is head."""
    if len(text) <= characters:
        return text
    room = characters - len(_MARK.format(cut=len(text), whole=len(text)))
    tail = room // 3
    head = room - tail
    mark = _MARK.format(cut=len(text) - head - tail, whole=len(text))
    return f"{text[:head]}{mark}{text[-tail:]}"


def excerpt_of_tokens(text: str, tokens: int) -> str:
    """The text, or as much of its head and tail as has at most `tokens`; empty where even 200 characters are more."""
    whole = text_tokens(text)
    if not text or whole <= tokens:
        return text
    characters = len(text) * max(0, tokens) // whole
    while characters >= SHORTEST:
        shorter = excerpt(text, characters)
        if text_tokens(shorter) <= tokens:
            return shorter
        characters = characters * 3 // 4
    return ""


def with_short_results(messages: list[Message], characters: int) -> int:
    """Cuts the results of tools that are longer, in the list and not in the messages; returns how many those were."""
    cut = 0
    for at, message in enumerate(messages):
        content = message.get("content")
        if message["role"] == "tool" and isinstance(content, str) and len(content) > characters:
            messages[at] = {**message, "content": excerpt(content, characters)}
            cut += 1
    return cut
