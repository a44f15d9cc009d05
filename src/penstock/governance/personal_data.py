"""Finders of personal data in a text: e-mail addresses, phone numbers, cards, bank accounts.

Each yields (start, end). They look for what a number is, not only for how long it is: a card has a network's prefix
and a Luhn digit, an account the length of its country and its remainder, a phone number a plan that knows it; so that
ids, dates, versions, prices and digests stay what they are.
"""

import re
from collections.abc import Iterator

_MAIL = re.compile(
    r"[\w.!#$%&'*+/=?^`{|}~-]{0,63}[\w!#$%&'*+/=?^`{|}~-](?:@|\s?[\[(](?:at|AT)[\])]\s?)"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.|\s?[\[(](?:dot|DOT)[\])]\s?)){1,8}(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})(?![\w@])"
)
_MAIL_SIGN = re.compile(r"@|[\[(](?:at|AT)[\])]")
_SSH = re.compile(r"git@[^:\s]+:")

_CARD = re.compile(
    r"(?<![A-Za-z0-9])(?<!\d\.)(?<!\b0,)(?<![0-9a-fA-F]{4}-)"
    r"(?:\d{4}(?P<a>[ -])\d{4}(?P=a)\d{4}(?P=a)\d{4}(?:(?P=a)\d{1,3})?|\d{4}(?P<b>[ -])\d{6}(?P=b)\d{4,5}|\d{14,19})"
    r"(?![A-Za-z0-9])(?!-[0-9A-Za-z])(?!\.\d)"
)
# Prefix of a network -> the lengths of its numbers.
_NETWORKS = (
    (re.compile(r"4"), {16, 19}),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), {16}),
    (re.compile(r"3[47]"), {15}),
    (re.compile(r"3(?:0[0-5]|[689])"), {14, 16}),
    (re.compile(r"6(?:011|4[4-9]|5)"), {16, 19}),
    (re.compile(r"35(?:2[89]|[3-8])"), {16, 19}),
    (re.compile(r"62"), {16, 17, 18, 19}),
    (re.compile(r"50(?:18|20|38)|5893|63(?:04|90)|67"), {16, 17, 18, 19}),
)

_USUAL = 16
_LONG = re.compile(r"62|6[37]|50|58")

_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])(?<![0-9a-fA-F]{4}-)[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])")
_LONGEST_GAP = 1
# ISO 13616: the length of an account number by its country.
_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE", "BI"), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL", "SD", "FK"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL", "SO", "OM"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("PT", "ST", "LY"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "MR", "SM", "DJ"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}


def find_mails(text: str) -> Iterator[tuple[int, int]]:
    """E-mail addresses, `name [at] host [dot] org` too; the `git@host:` of a clone address is none."""
    if not _MAIL_SIGN.search(text):
        return
    for match in _MAIL.finditer(text):
        if not _SSH.match(text, match.start()):
            yield match.span()


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Numbers of payment cards: a network's prefix and length, and a right Luhn digit."""
    place = 0
    while match := _CARD.search(text, place):
        digits = re.sub(r"[ -]", "", match[0])
        is_card = _has_network(digits, is_grouped=len(digits) < len(match[0])) and _has_luhn(digits)
        if is_card:
            yield match.span()
        place = match.end() if is_card else match.start() + 1  # a year before a card looks like its first group


def find_accounts(text: str) -> Iterator[tuple[int, int]]:
    """International bank account numbers (ISO 13616): length of the country, remainder 1 modulo 97."""
    for match in _ACCOUNT.finditer(text):
        length = _LENGTHS.get(match[0][:2].upper())
        end = _end_of_account(text, match.start(), length) if length else None
        if end is not None:
            number = re.sub(r"[ -]", "", text[match.start() : end]).upper()
            if int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1:
                yield match.start(), end


def _end_of_account(text: str, start: int, length: int) -> int | None:
    """Where `length` letters and digits end, single blanks and hyphens between them apart; None if a word goes on."""
    seen, gap, place = 0, 0, start
    while seen < length:
        letter = text[place : place + 1]
        if letter.isascii() and letter.isalnum():
            seen, gap = seen + 1, 0
        elif letter and gap < _LONGEST_GAP and letter in " -":
            gap += 1
        else:
            return None
        place += 1
    return None if re.match(r"-?[A-Za-z0-9]", text[place : place + 2]) else place  # groups that go on are a UUID's


def _has_network(digits: str, *, is_grouped: bool) -> bool:
    """Whether a network has such numbers; long ones without gaps are ids, but for the networks that use them."""
    if len(digits) > _USUAL and not is_grouped and not _LONG.match(digits):
        return False
    return any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _NETWORKS)


def _has_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, letter in enumerate(reversed(digits)):
        digit = int(letter) * (2 if place % 2 else 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0
