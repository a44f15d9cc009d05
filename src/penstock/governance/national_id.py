"""National identity numbers in a text: of a shape of their own, with a check digit, or behind a word that names one.

Eleven bare digits may be anything; they count only behind such a word. Formulas are those of the issuing authorities.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator

_EDGE, _END = r"(?<![A-Za-z0-9])(?<!\d[.-])(?<![A-Za-z0-9]-)", r"(?![A-Za-z0-9])(?!-[A-Za-z0-9])"
_SPANISH = "TRWAGMYFPDXBNJZSQVHLCKE"
_CHINESE_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _always(_: str) -> bool:
    return True


def _is_swiss(number: str) -> bool:
    """EAN-13 over the 13 digits of an AHV number."""
    digits = _digits(number)
    return sum(digit * (3 if at % 2 else 1) for at, digit in enumerate(digits)) % 10 == 0


def _is_french(number: str) -> bool:
    """NIR: 97 less the first 13 digits modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    text = re.sub(r"\s", "", number).upper().replace("2A", "19").replace("2B", "18")
    return 97 - int(text[:13]) % 97 == int(text[13:])


def _is_spanish(number: str) -> bool:
    """DNI and NIE: the letter is chosen by the number modulo 23."""
    text = re.sub(r"[ -]", "", number).upper()
    return _SPANISH[int(text[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == text[-1]


def _is_chinese(number: str) -> bool:
    """GB 11643: ISO 7064 modulo 11,2."""
    total = sum(weight * int(digit) for weight, digit in zip(_CHINESE_WEIGHTS, number[:17], strict=True))
    return "10X98765432"[total % 11] == number[17].upper()


def _is_brazilian(number: str) -> bool:
    """CPF: two check digits modulo 11."""
    digits = _digits(number)
    for length in (9, 10):
        total = sum(digit * (length + 1 - at) for at, digit in enumerate(digits[:length]))
        if (total * 10) % 11 % 10 != digits[length]:
            return False
    return True


def _is_german_tax_id(number: str) -> bool:
    """ISO 7064 modulo 11,10; of the first ten digits one stands there twice or thrice, each other one at most once."""
    digits = _digits(number)
    counts = sorted(Counter(digits[:-1]).values())
    if counts[-1] not in {2, 3} or (len(counts) > 1 and counts[-2] != 1):
        return False
    product = 10
    for digit in digits[:-1]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == digits[-1]


def _digits(number: str) -> list[int]:
    return [int(letter) for letter in number if letter.isdigit()]


_SHAPES: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (r"(?!000|666)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}", _always),  # United States, ITIN included
    (r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]", _always),  # NINO
    (r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}", _is_swiss),
    (r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[ABab]) ?\d{3} ?\d{3} ?\d{2}", _is_french),
    (r"(?:\d{8}|[XYZxyz]-?\d{7})-?[A-Za-z]", _is_spanish),
    (r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _always),  # Italy, codice fiscale
    (r"[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]", _is_chinese),
    (r"\d{3}\.\d{3}\.\d{3}-\d{2}", _is_brazilian),
    (r"(?<!\d )[1-9]\d \d{3} \d{3} \d{3}(?! \d)", _is_german_tax_id),
    (r"\d{2} ?(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{2} ?[A-Z] ?\d{3}", _always),  # Germany, social insurance
)
_KNOWN = tuple((re.compile(_EDGE + shape + _END), check) for shape, check in _SHAPES)
_NAMED = re.compile(
    r"(?i)(?<![a-z])(?:ssn|social[ _-]?security(?:[ _-]?(?:number|no))?|national[ _-]?id(?:entity|entification)?"
    r"|tax[ _-]?id(?:entification)?|tin|itin|nino|bsn|pesel|cpf|dni|aadhaar|personal[ _-]?(?:id|number)|passport"
    r"|steuer(?:[ _-]?id(?:entifikationsnummer)?|nummer)|(?:sozial|renten)versicherungsnummer"
    r"|personalausweis(?:nummer)?|ausweisnummer|reisepass(?:nummer)?)"
    r"[\"']?(?:[ _-]?(?:number|nummer|nr|no|code|id))?[\s:=#.\"'(-]{1,5}(?:(?:is|ist|lautet)\s)?"
    r"(?P<value>(?=(?:[A-Za-z]?[ ./-]?\d){6})[A-Za-z]{0,2}\d(?:[ ./-]?[A-Za-z0-9]){5,17})(?![A-Za-z0-9])"
)


def find_national_ids(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each national identity number."""
    for pattern, check in _KNOWN:
        for match in pattern.finditer(text):
            if check(match[0]):
                yield match.span()
    for match in _NAMED.finditer(text):
        yield match.span("value")
