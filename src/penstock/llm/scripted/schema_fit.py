"""Values that fit a JSON Schema: from a suggestion where it fits, from the input where names agree, else the least."""

from collections.abc import Callable, Mapping
from typing import Any

from penstock.llm.scripted.conversation import Conversation
from penstock.llm.scripted.words import key_words, sentences, shorten

_DEPTH = 12
_SUMMARY_CHARACTERS = 200
_ABSENT = object()


def fit(schema: Mapping[str, Any], suggestion: Any, conversation: Conversation) -> Any:
    """A value for the schema. A pattern that neither the suggestion nor the input meets is not made up."""
    return _Fitting(schema, conversation).value(schema, suggestion, 0)


def plain_answer(conversation: Conversation) -> str:
    """The answer where no schema asks for more: what was read, in one sentence."""
    return f"Scripted model: {summary(conversation)}"


def summary(conversation: Conversation) -> str:
    """The first sentence of the text that the input is about, at most 200 characters."""
    found = sentences(conversation.text)
    return shorten(found[0], _SUMMARY_CHARACTERS) if found else "no text was given"


class _Fitting:
    def __init__(self, root: Mapping[str, Any], conversation: Conversation) -> None:
        self._root = root
        self._conversation = conversation

    def value(self, schema: Any, suggestion: Any, depth: int) -> Any:
        """A value for one place."""
        shape = self._resolved(schema)
        if "const" in shape:
            return shape["const"]
        if isinstance(shape.get("enum"), list) and shape["enum"]:
            return suggestion if suggestion in shape["enum"] else shape["enum"][0]
        makers: dict[str, Callable[[dict[str, Any], Any, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
        }
        kind = _kind(shape, suggestion)
        if kind == "boolean":
            return suggestion if isinstance(suggestion, bool) else False
        maker = makers.get(kind)
        return maker(shape, suggestion, depth) if maker else None if kind == "null" else suggestion

    def _resolved(self, schema: Any) -> dict[str, Any]:
        shape = dict(schema) if isinstance(schema, Mapping) else {}
        for _ in range(_DEPTH):
            reference = shape.pop("$ref", None)
            if isinstance(reference, str):
                shape = {**self._target(reference), **shape}
            for key in ("anyOf", "oneOf"):
                choices = shape.pop(key, None)
                if choices:
                    shape = {**dict(choices[0]), **shape}
            for part in shape.pop("allOf", None) or ():
                shape = {**dict(part), **shape}
            if not {"$ref", "anyOf", "oneOf", "allOf"} & shape.keys():
                break
        return shape

    def _target(self, reference: str) -> dict[str, Any]:
        found: Any = self._root
        for part in reference.lstrip("#").split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return dict(found) if isinstance(found, Mapping) else {}

    def _object(self, shape: dict[str, Any], suggestion: Any, depth: int) -> dict[str, Any]:
        given = suggestion if isinstance(suggestion, dict) else {}
        properties = shape.get("properties") or {}
        required = list(shape.get("required") or ())
        names = [*properties, *(key for key in required if key not in properties)]
        if depth >= _DEPTH:
            names = required
        made = {
            key: self.value(properties.get(key, {}), given.get(key, self._like_named(key)), depth + 1)
            for key in names
            if key in required or key in given or properties.get(key)
        }
        if shape.get("additionalProperties", True) is not False:
            made.update({key: value for key, value in given.items() if key not in made})
        return made

    def _array(self, shape: dict[str, Any], suggestion: Any, depth: int) -> list[Any]:
        items = shape.get("items", {})
        if isinstance(suggestion, list):
            given = suggestion
        else:
            words: list[Any] = list(key_words(self._conversation.text))
            is_text = self._resolved(items).get("type") == "string"
            given = words if is_text else [_ABSENT]
        given = given[: shape.get("maxItems", len(given))]
        given += [_ABSENT] * (shape.get("minItems", 0) - len(given))
        return [self.value(items, None if item is _ABSENT else item, depth + 1) for item in given]

    def _string(self, shape: dict[str, Any], suggestion: Any, depth: int) -> str:
        text = suggestion if isinstance(suggestion, str) else summary(self._conversation)
        limit, least = int(shape.get("maxLength", len(text))), int(shape.get("minLength", 0))
        short = text if len(text) <= limit else shorten(text, limit) if limit else ""
        return short + "." * (least - len(short))

    def _number(self, shape: dict[str, Any], suggestion: Any, depth: int) -> int | float:
        is_number = isinstance(suggestion, int | float) and not isinstance(suggestion, bool)
        value: Any = suggestion if is_number else len(key_words(self._conversation.text))
        if shape.get("type") == "integer":
            value = int(value)
        low, high = shape.get("minimum"), shape.get("maximum")
        value = value if low is None else max(low, value)
        bounded: int | float = value if high is None else min(high, value)
        return bounded

    def _like_named(self, key: str) -> Any:
        document = self._conversation.document
        return document.get(key) if isinstance(document, dict) else None


def _kind(shape: Mapping[str, Any], suggestion: Any) -> str:
    kind = shape.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in shape or "required" in shape:
        return "object"
    return "array" if "items" in shape else "any" if suggestion is not None else "string"
