"""Phone numbers in a text: where one is written, a numbering plan (phonenumbers) says whether it is one.

Three shapes count: international with + or 00; national with its area code set apart; any digits behind a word that
names a phone. Bare digits alone are ids, amounts, times.
"""

import re
from collections.abc import Iterator

_EDGE = r"(?<![A-Za-z0-9])(?<!\d\.)(?<![A-Za-z0-9]-)"
_END = r"(?![A-Za-z0-9])"
_INTERNATIONAL = re.compile(
    rf"(?:(?<![A-Za-z0-9])\(?\+|{_EDGE}\(?00(?=[ \-(/.]?[1-9]))[ ]?\(?\d(?:[ ().\-/]{{0,3}}\d){{6,16}}{_END}"
)
_AMERICAN = re.compile(
    rf"{_EDGE}(?:1[ .-])?(?:\([2-9]\d{{2}}\)[ ]?|[2-9]\d{{2}}(?P<gap>[ .-]))[2-9]\d{{2}}"
    rf"(?(gap)(?P=gap)|[ .-])\d{{4}}{_END}(?![.-]\d)"
)
_NATIONAL = re.compile(
    rf"{_EDGE}(?:\(0[1-9]\d{{1,4}}\)[ ]?|0[1-9]\d{{1,4}}(?: ?[/-] ?| ))\d(?:[ /-]?\d){{4,9}}{_END}(?!\.\d)"
)
_PAIRS = re.compile(rf"{_EDGE}0[1-9](?P<gap>[ .-])\d{{2}}(?:(?P=gap)\d{{2}}){{3}}{_END}(?![ .-]\d)")
_LABELLED = re.compile(
    r"(?i)(?<![a-z])(?:(?:tele)?phone|telefon|tele?|mobil(?:e|funk)?|handy|cell(?:phone)?|fax|whatsapp|rückruf|hotline)"
    r"(?:s|[ _-]?(?:number|nummer|no|nr))?[\"']?[\s:=#.\"'(-]{1,5}(?:(?:is|ist|lautet)\s)?"
    r"(?P<value>\(?\+?\d(?:[ ().\-/]{0,3}\d){6,16})(?![A-Za-z0-9])"
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{4}")
_PLANS = ("DE", "GB", "FR", "AT", "CH", "IT", "ES")
_LEAST_DIGITS = 7
_MOST_ASKED = 100_000


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each phone number. Raises `ValueError` for a text with more candidates than can be judged."""
    if sum(letter.isdigit() for letter in text) < _LEAST_DIGITS:
        return
    plan = _Plan()
    yield from _scanned(_INTERNATIONAL, text, ("ZZ",), plan)
    yield from _scanned(_AMERICAN, text, ("US",), plan)
    yield from _scanned(_NATIONAL, text, _PLANS, plan)
    yield from _scanned(_PAIRS, text, ("FR",), plan)
    for match in _LABELLED.finditer(text):
        if not _DATE.fullmatch(match["value"]):
            yield match.span("value")


class _Plan:
    """Asks the numbering plans, each number once and a bounded number of them: hostile text is mostly candidates."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], bool] = {}

    def knows(self, number: str, country: str) -> bool:
        """Whether the plan of that country (`ZZ`: of the one that the number names) has such a number."""
        asked = (number, country)
        if asked not in self._answers:
            if len(self._answers) >= _MOST_ASKED:
                raise ValueError("too many numbers")
            self._answers[asked] = _is_valid(number, country)
        return self._answers[asked]


def _is_valid(number: str, country: str) -> bool:
    import phonenumbers

    written = re.sub(r"^\(?00", "+", number) if country == "ZZ" else number
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(written, None if country == "ZZ" else country)))
    except phonenumbers.NumberParseException:
        return False


def _scanned(pattern: re.Pattern[str], text: str, countries: tuple[str, ...], plan: _Plan) -> Iterator[tuple[int, int]]:
    """Every number that begins with a match; what a match swallowed of the next number is looked at again."""
    place = 0
    while match := pattern.search(text, place):
        end = _longest(text, match, countries, plan)
        if end is not None:
            yield match.start(), end
        place = match.start() + 1 if end is None else end


def _longest(text: str, match: re.Match[str], countries: tuple[str, ...], plan: _Plan) -> int | None:
    """Where the longest valid number ends that begins with the match; what follows it may be another number."""
    ends = [match.end()]
    ends += [match.start() + gap.start() for gap in re.finditer(r"[ ./(-]+(?=\d)", match[0])][::-1]
    for end in ends:
        number = text[match.start() : end]
        is_long = sum(letter.isdigit() for letter in number) >= _LEAST_DIGITS
        if is_long and any(plan.knows(number, country) for country in countries):
            return end
    return None
