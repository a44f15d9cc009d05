"""What one sentence of a requirement says: what is asked, forbidden, limited, conditional, or a matter of rights."""

import re
from dataclasses import dataclass

from penstock.llm.scripted.quantity import Quantity, quantities

_NEGATIVE = re.compile(
    r"\b(must not|shall not|should not|may not|cannot|can not|can['’]t|mustn['’]t|never|not allowed|forbidden|"
    r"prohibited|(?:is|are|be) (?:refused|rejected|denied|blocked)|refuses?|rejects?|no longer|"
    r"darf (?:\w+ ){0,3}?(?:nicht|kein\w*)|dürfen (?:\w+ ){0,3}?(?:nicht|kein\w*)|niemals|verboten|"
    r"abgelehnt|verweigert|"
    r"ne (?:doit|peut|doivent|peuvent) pas|interdite?s?|no (?:debe|puede|deben|pueden)|prohibido)\b|"
    r"不得|不能|禁止|してはならない|нельзя|не должен|запрещ",
    re.IGNORECASE,
)
_MODAL = re.compile(
    r"\b(must|shall|should|can|may|will|has to|have to|needs? to|is able to|are able to|"
    r"muss|müssen|soll|sollen|sollte|kann|können|darf|dürfen|doit|doivent|peut|peuvent|debe|deben|puede|pueden)\b",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"\b(must|shall|has to|have to|muss|müssen|doit|doivent|debe|deben|always|every|immer|jede)\b", re.I
)
_WEAK = re.compile(r"\b(may|can|optional(?:ly)?|could|kann|können|peut|puede)\b", re.IGNORECASE)
_CONDITION = re.compile(
    r"\b(?:if|when|whenever|unless|while|as soon as|as long as|in case|provided that|"
    r"wenn|falls|sobald|solange|sofern)\b"
    r"\s+[^,;:.]{3,160}",
    re.IGNORECASE,
)
_RIGHTS = re.compile(
    r"\b(permissions?|roles?|rights?|authori[sz]ed?|authori[sz]ation|approv(?:al|es?|ers?)|admins?|administrators?|owners?|"
    r"only (?:an?|the|users?|members?|managers?|approvers?|admins?)\b|nur (?:ein\w*|der|die)\b|guests?|tenants?|"
    r"Rechte?|Rolle|Berechtigung\w*|berechtigt\w*|Administrator\w*|signed in|logged in)\b",
    re.IGNORECASE,
)
_STATE = re.compile(
    r"\b(while|during|already|again|once|until|before|after|resum\w+|restart\w*|states?|active|frozen|disabled|"
    r"deprecated|closed|open(?:ed)?|running|finished|während|bereits|erneut|nachdem|bevor|Zustand)\b",
    re.IGNORECASE,
)
_EMBEDDED = re.compile(
    r"\b(ignore|disregard|forget|vergiss|ignoriere)\b.{0,40}\b(instructions?|prompts?|rules?|anweisungen|regeln)\b|"
    r"\byou are now\b|\bsystem prompt\b",
    re.IGNORECASE,
)
_LIST = re.compile(r"(?:^|[:\s(])([^,;:()]{2,60}(?:, [^,;:()]{2,60})+,? (?:and|or|und|oder) [^,;:().]{2,60})")
_ENUMERATED = 3
_LIST_GAP = re.compile(r",? (?:and|or|und|oder) |, ")


@dataclass(frozen=True, slots=True)
class Reading:
    """One sentence, taken apart; `subject` is empty where no modal verb divides it from the `action`."""

    text: str
    subject: str
    action: str
    conditions: tuple[str, ...]
    items: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    priority: str
    is_negative: bool
    is_about_rights: bool
    is_about_state: bool
    looks_like_instruction: bool


def read(sentence: str) -> Reading:
    """Reads one sentence by its words; a sentence without any known word is a plain statement."""
    negative = _NEGATIVE.search(sentence)
    modal = _MODAL.search(sentence)
    subject, action = (sentence[: modal.start()].strip(), sentence[modal.end() :].strip()) if modal else ("", sentence)
    if not subject or not action:
        subject, action = "", sentence
    return Reading(
        text=sentence,
        subject=subject,
        action=_without_negation(action),
        conditions=tuple(match[0].strip() for match in _CONDITION.finditer(sentence)),
        items=_items(sentence),
        quantities=quantities(sentence),
        priority="high" if negative or _STRONG.search(sentence) else "low" if _WEAK.search(sentence) else "medium",
        is_negative=negative is not None,
        is_about_rights=_RIGHTS.search(sentence) is not None,
        is_about_state=_STATE.search(sentence) is not None,
        looks_like_instruction=_EMBEDDED.search(sentence) is not None,
    )


def _without_negation(action: str) -> str:
    return re.sub(r"^(?:not|nicht|pas)\s+", "", action, flags=re.IGNORECASE) or action


def _items(sentence: str) -> tuple[str, ...]:
    """The members of an enumeration of at least three, such as `changed, renamed or deleted`."""
    match = _LIST.search(sentence)
    if not match:
        return ()
    parts = [part.strip() for part in _LIST_GAP.split(match[1]) if part.strip()]
    parts[0] = _without_lead(parts[0], len(parts[1].split()))
    return tuple(parts) if len(parts) >= _ENUMERATED else ()


def _without_lead(first: str, words: int) -> str:
    """The first member without what leads to it: after a modal verb, else as many words as the second has."""
    modal = list(_MODAL.finditer(first))
    if modal:
        rest = first[modal[-1].end() :].strip().removeprefix("not ").removeprefix("be ")
        return rest or first
    return " ".join(first.split()[-words:])
