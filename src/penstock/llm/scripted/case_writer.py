"""Test cases from a requirement: one for what it asks and for each condition, and more by the techniques asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from penstock.llm.scripted.conversation import Conversation
from penstock.llm.scripted.look_up import found_ids
from penstock.llm.scripted.phrases import Phrases, phrases
from penstock.llm.scripted.reading import Reading, read
from penstock.llm.scripted.words import sentences, shorten

_STATEMENTS = 12
_CASES = 40
_TITLE_CHARACTERS = 120
_TEXT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Case:
    """A test case before it has its number."""

    kind: str
    title: str
    priority: str
    steps: tuple[str, ...]
    expected: str
    preconditions: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Desk:
    """What every rule of the writer needs: the sentence, the phrases, the product."""

    reading: Reading
    say: Phrases
    product: str

    @property
    def action(self) -> str:
        """What the sentence speaks of, in one line."""
        return shorten(self.reading.action, _TITLE_CHARACTERS)

    @property
    def text(self) -> str:
        """The sentence in one line."""
        return shorten(self.reading.text, _TEXT_CHARACTERS)

    def case(self, kind: str, title: str, steps: tuple[str, ...], expected: str, **more: Any) -> Case:
        """A case with the setting that all share; `priority` and `preconditions` may be given."""
        ready = self.say.ready.format(product=self.product)
        preconditions = (ready, *more.pop("preconditions", ()))
        priority = more.pop("priority", self.reading.priority)
        return Case(kind, shorten(title, _TITLE_CHARACTERS), priority, steps, expected, preconditions)


def write_cases(conversation: Conversation) -> dict[str, Any]:
    """The summary, the test cases (at most 40, of at most 12 statements) and the related requirements found.

    The system prompt decides on the techniques: boundary, negative, permission, timeout and state each have to be
    named in it.
    """
    say = phrases(conversation.language)
    statements = sentences(conversation.text) or [say.nothing]
    product = conversation.product or say.product
    cases: list[Case] = []
    for sentence in statements[:_STATEMENTS]:
        desk = Desk(read(sentence), say, product)
        cases += _main_cases(desk)
        for word, rule in _TECHNIQUES.items():
            if conversation.asks_for(rf"\b{word}\b"):
                cases += rule(desk)
    kept = list({(case.kind, case.title): case for case in cases}.values())[:_CASES]
    left_out = len(statements) - _STATEMENTS
    text = shorten(" ".join(statements), _TEXT_CHARACTERS)
    summary = say.summary.format(count=len(kept), text=text)
    return {
        "summary": summary + (say.left_out.format(count=left_out) if left_out > 0 else ""),
        "testCases": [_numbered(position, case) for position, case in enumerate(kept, 1)],
        "relatedRequirements": found_ids(conversation),
    }


def _numbered(position: int, case: Case) -> dict[str, Any]:
    return {
        "id": f"TC-{position:03d}",
        "title": case.title,
        "type": case.kind,
        "priority": case.priority,
        "preconditions": list(case.preconditions),
        "steps": list(case.steps),
        "expected": case.expected,
    }


def _main_cases(desk: Desk) -> Iterator[Case]:
    """What is asked for, then each condition and each member of an enumeration."""
    say, reading = desk.say, desk.reading
    if reading.looks_like_instruction:
        steps = (say.do.format(action=desk.action), say.check)
        yield desk.case("positive", say.embedded, steps, say.as_data.format(text=desk.text))
        return
    rights = (say.role,) if reading.is_about_rights else ()
    steps = (say.do.format(action=desk.action), say.check)
    expected = say.expected.format(text=desk.text)
    yield desk.case("positive", desk.text, steps, expected, preconditions=rights)
    for condition in reading.conditions:
        title = say.condition.format(condition=condition)
        yield desk.case("positive", title, steps, expected, preconditions=(title, *rights))
    for item in reading.items:
        title = say.item.format(subject=reading.subject or shorten(reading.text, 40), item=item)
        yield desk.case("positive", title, (say.do.format(action=item), say.check), expected, preconditions=rights)


def _boundary_cases(desk: Desk) -> Iterator[Case]:
    """The values on both sides of every amount."""
    say = desk.say
    for quantity in desk.reading.quantities:
        is_threshold = desk.reading.is_negative or quantity.bound == "above"  # names what it meets, not what is allowed
        inside, outside = (say.applies, say.not_yet) if is_threshold else (say.inside, say.outside)
        sides = ((quantity.inside, inside, say.rule_holds), (quantity.outside, outside, say.rule_beyond))
        for values, title, expected in sides:
            for value in values:
                steps = (say.use_value.format(quantity=value, stated=quantity.stated), say.check)
                told = expected.format(quantity=value, text=desk.text)
                yield desk.case("boundary", title.format(quantity=value), steps, told, priority="high")


def _negative_cases(desk: Desk) -> Iterator[Case]:
    """The attempt at what is forbidden, one for each member of an enumeration."""
    say = desk.say
    if not desk.reading.is_negative or desk.reading.looks_like_instruction:
        return
    for action in desk.reading.items or (desk.action,):
        steps = (say.attempt.format(action=action), say.check)
        expected = say.refused.format(text=desk.text)
        yield desk.case("negative", say.negative.format(action=action), steps, expected, priority="high")


def _permission_cases(desk: Desk) -> Iterator[Case]:
    say = desk.say
    if desk.reading.is_about_rights:
        steps = (say.attempt.format(action=desk.action), say.check)
        title, expected = say.permission.format(action=desk.action), say.permission_refused.format(text=desk.text)
        yield desk.case("permission", title, steps, expected, priority="high", preconditions=(say.no_role,))


def _timeout_cases(desk: Desk) -> Iterator[Case]:
    say = desk.say
    for quantity in desk.reading.quantities:
        if quantity.is_duration:
            steps = (say.do.format(action=desk.action), say.wait.format(quantity=quantity.limit), say.check)
            expected = say.timed_out.format(text=desk.text)
            yield desk.case("timeout", say.timeout.format(quantity=quantity.limit), steps, expected, priority="high")


def _state_cases(desk: Desk) -> Iterator[Case]:
    say = desk.say
    if desk.reading.is_about_state:
        steps = (say.do.format(action=desk.action), say.again, say.check)
        yield desk.case("state", say.state.format(action=desk.action), steps, say.state_kept.format(text=desk.text))


_TECHNIQUES: dict[str, Callable[[Desk], Iterator[Case]]] = {
    "negative": _negative_cases,
    "boundary": _boundary_cases,
    "permission": _permission_cases,
    "timeout": _timeout_cases,
    "state": _state_cases,
}
