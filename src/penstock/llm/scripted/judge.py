"""The scripted judge: it rates an answer by what can be counted in it, never by what the answer says of itself.

It stands in for a model with a rubric, so that evaluations work without a key. It reads words, not meaning: a real
suite names a judge of its own.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.llm.scripted.conversation import Conversation
from penstock.llm.scripted.reading import read
from penstock.llm.scripted.words import sentences, shorten, telling_words

JUDGE_MODEL = "qa-judge"
_QUOTED = re.compile(r"\"([^\"\n]{1,80})\"|'([^'\n]{2,80})'(?!\w)|“([^”\n]{1,80})”")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_REFUSAL = re.compile(
    r"\b(refus\w*|reject\w*|forbid\w*|forbidden|den(?:y|ied|ies)|error|fails?|negative|not allowed|must not|cannot|"
    r"abgelehnt|verweiger\w*|verboten|Fehler)\b",
    re.IGNORECASE,
)
_ENDINGS = ("ing", "ed", "es", "s", "e")
_LEAST_STEM = 4
_SUPPORTED_SHARE = 0.6
_CLAIM_WORDS = 2
_CLAIMS = 40
_TIE = 0.05
_NAMED = 6


@dataclass(frozen=True, slots=True)
class _Demand:
    """Something that a good answer holds, how much it counts, and whether the answer holds it."""

    name: str
    weight: int
    is_met: bool


def judge(conversation: Conversation) -> str:
    """The JSON answer to a judge's question `{task: grade | compare | claims, ...}`; a plain sentence to any other.

    grade: the weighted share of demands that the output meets. Demands are what the rubric quotes, the words and
    numbers of `expected` (of the input where there is none), and a refusal where the input forbids something.
    compare: the better grade wins, a difference below 0.05 is a tie. claims: a sentence is supported if all its
    numbers and at least 60 % of its words are in the context.
    """
    question = conversation.document
    task = question.get("task") if isinstance(question, dict) else None
    if task == "grade":
        return _dump(_grade(question, question.get("output")))
    if task == "compare":
        return _dump(_compare(question))
    if task == "claims":
        return _dump(_claims(question))
    return "This is no question for a judge: it has no task grade, compare or claims."


def _grade(question: dict[str, Any], output: Any) -> dict[str, Any]:
    demands = _demands(question, _text(output))
    if not demands:
        return {"score": 0.0, "reason": "The question names nothing that an answer could be held against."}
    in_all = sum(one.weight for one in demands)
    missing = [one.name for one in demands if not one.is_met]
    score = round(sum(one.weight for one in demands if one.is_met) / in_all, 2)
    if not missing:
        return {"score": score, "reason": f"All {len(demands)} demands are met."}
    named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
    met = len(demands) - len(missing)
    return {"score": score, "reason": f"{met} of {len(demands)} demands are met; missing: {named}."}


def _compare(question: dict[str, Any]) -> dict[str, Any]:
    first, second = (float(_grade(question, question.get(side))["score"]) for side in ("first", "second"))
    winner = "tie" if abs(first - second) < _TIE else "first" if first > second else "second"
    return {"winner": winner, "reason": f"The first meets {first:.0%} of what is asked for, the second {second:.0%}."}


def _claims(question: dict[str, Any]) -> dict[str, Any]:
    known = _Words(_text(question.get("context")))
    found = []
    for claim in dict.fromkeys(one for text in _texts(question.get("output")) for one in sentences(text)):
        words = telling_words(claim)
        if len(words) >= _CLAIM_WORDS:
            share = sum(known.has(word) for word in words) / len(words)
            supported = share >= _SUPPORTED_SHARE and all(map(known.has_number, _NUMBER.findall(claim)))
            found.append({"claim": shorten(claim, 300), "supported": supported})
    return {"claims": found[:_CLAIMS]}


def _demands(question: dict[str, Any], output: str) -> list[_Demand]:
    known = _Words(output)
    rubric = str(question.get("rubric", ""))
    asked = _asked(question.get("input"))
    measure = asked if question.get("expected") is None else _text(question["expected"])
    quoted = ["".join(parts) for parts in _QUOTED.findall(rubric)]
    demands = [_Demand(repr(term), 2, term.lower() in output.lower()) for term in dict.fromkeys(quoted)]
    demands += [_Demand(number, 2, known.has_number(number)) for number in dict.fromkeys(_NUMBER.findall(measure))]
    words = [word for word in telling_words(measure) if not _NUMBER.fullmatch(word)]
    demands += [_Demand(word, 1, known.has(word)) for word in words]
    if any(read(sentence).is_negative for sentence in sentences(asked)):
        demands.append(_Demand("a refusal", 3, _REFUSAL.search(output) is not None))
    return demands


def _asked(given: Any) -> str:
    """What the input asks for: a product's name in it is no demand."""
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if name != "product"}
    return _text(given)


class _Words:
    """The words and numbers of a text; a word counts in any of its forms that share a stem."""

    def __init__(self, text: str) -> None:
        self._stems = {_stem(word) for word in telling_words(text)}
        self._numbers = set(_NUMBER.findall(text))

    def has(self, word: str) -> bool:
        """Whether the text has the word."""
        return _stem(word) in self._stems

    def has_number(self, number: str) -> bool:
        """Whether the text has the number, written in the same way."""
        return number in self._numbers


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            return word.removesuffix(ending)
    return word


def _texts(value: Any) -> list[str]:
    """All texts and numbers of a JSON value, in their order; keys are no part of what an answer says."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _text(value: Any) -> str:
    return "\n".join(_texts(value))


def _dump(answer: dict[str, Any]) -> str:
    return orjson.dumps(answer).decode()
