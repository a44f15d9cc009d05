"""What the scripted model answers: one pure function, used by the LiteLLM provider and by the HTTP server alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.llm.scripted.case_writer import write_cases
from penstock.llm.scripted.conversation import Conversation
from penstock.llm.scripted.judge import JUDGE_MODEL, judge
from penstock.llm.scripted.look_up import next_look_up
from penstock.llm.scripted.plan_writer import write_plan
from penstock.llm.scripted.schema_fit import fit, plain_answer

MODEL = "qa-rules"
MODELS = (MODEL, JUDGE_MODEL)
FINGERPRINT = "scripted-qa-rules-1"
_BYTES_PER_TOKEN = 4
_PIECE_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call that the model asks for; its id is unique within the answer."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """Text or tool calls, never both, and what they would count as."""

    content: str | None
    calls: tuple[ScriptedCall, ...]
    prompt_tokens: int
    completion_tokens: int

    @property
    def finish_reason(self) -> str:
        """Why the model stopped: `tool_calls` or `stop`."""
        return "tool_calls" if self.calls else "stop"

    def pieces(self, characters: int | None = None) -> list[str]:
        """The text as it is streamed: pieces of so many characters, else of 64."""
        text, size = self.content or "", characters or _PIECE_CHARACTERS
        return [text[start : start + size] for start in range(0, len(text), size)]


def answer(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    response_format: Mapping[str, Any] | None = None,
    model: str = MODEL,
) -> ScriptedAnswer:
    """The answer to a chat, computed from what it says: the same chat always gets the same answer.

    `qa-judge` rates by the rules of `penstock.llm.scripted.judge`; every other model is `qa-rules`: a tool that the
    system prompt names is called first; then comes JSON that fits the schema of `response_format`, or plain text
    without one. A token is 4 bytes of the JSON of what went in, and of what comes out.
    """
    conversation = Conversation.read(messages, tools)
    asked = len(orjson.dumps([list(messages), list(tools)]))
    if model == JUDGE_MODEL:
        rated = judge(conversation)
        return ScriptedAnswer(rated, (), _tokens(asked), _tokens(len(rated.encode())))
    look_up = next_look_up(conversation)
    if look_up is not None:
        arguments = orjson.dumps(look_up.arguments).decode()
        call = ScriptedCall(f"call_{conversation.calls_made + 1}", look_up.tool, arguments)
        return ScriptedAnswer(None, (call,), _tokens(asked), _tokens(len(look_up.tool) + len(arguments)))
    content = _content(conversation, _schema(response_format))
    return ScriptedAnswer(content, (), _tokens(asked), _tokens(len(content.encode())))


def _content(conversation: Conversation, schema: Mapping[str, Any] | None) -> str:
    if schema is None:
        return plain_answer(conversation)
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    suggestion: dict[str, Any] = {}
    if "testCases" in known:
        suggestion = write_cases(conversation)
    elif "plan" in known:
        suggestion = write_plan(conversation)
    return orjson.dumps(fit(schema, suggestion, conversation)).decode()


def _schema(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not isinstance(response_format, Mapping):
        return None
    inner = response_format.get("json_schema")
    if isinstance(inner, Mapping) and isinstance(inner.get("schema"), Mapping):
        return dict(inner["schema"])
    return {"type": "object"} if response_format.get("type") == "json_object" else None


def _tokens(size: int) -> int:
    return max(1, -(-size // _BYTES_PER_TOKEN))
