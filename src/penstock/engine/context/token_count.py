"""How many tokens a request has, as the platform counts: the same on every machine, and without any tokenizer.

Small letters and spaces of ASCII count half a token, every other byte of the UTF-8 text counts one. That is about twice
of what tokenizers make of prose, code and JSON (1.8 to 2.2, measured with three of them), and never less than they
make of other scripts, digits and signs. Only letters without any words fall short of it: random hex by a tenth,
random small letters by a fifth; at worst (each letter a token of its own) by half.
"""

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.contracts.canonical import canonical
from penstock.pal import Message, ToolOffer

MESSAGE_TOKENS = 8
"""What a message costs beside its text: its role, its borders, the names of its fields."""

_HALVES = (string.ascii_lowercase + " ").encode()


def text_tokens(text: str) -> int:
    """The tokens of a text."""
    return _bytes_tokens(text.encode("utf-8", "surrogatepass"))


def message_tokens(message: Message) -> int:
    """The tokens of a chat message with its tool calls."""
    content = message.get("content")
    tokens = MESSAGE_TOKENS
    if isinstance(content, str):
        tokens += text_tokens(content)
    elif content is not None:
        tokens += _bytes_tokens(canonical(content))
    calls = message.get("tool_calls")
    return tokens + (_bytes_tokens(canonical(calls)) if calls else 0)


def messages_tokens(messages: Iterable[Message]) -> int:
    """The tokens of some messages together."""
    return sum(map(message_tokens, messages))


def frame_tokens(tools: Sequence[ToolOffer], response_format: Mapping[str, Any] | None) -> int:
    """The tokens of what goes along with every request of a run: the tools and the shape of the answer."""
    tokens = sum(MESSAGE_TOKENS + _bytes_tokens(canonical(tool.as_function())) for tool in tools)
    return tokens + (_bytes_tokens(canonical(response_format)) if response_format else 0)


def _bytes_tokens(data: bytes) -> int:
    others = len(data.translate(None, _HALVES))
    return others + (len(data) - others + 1) // 2
