import json
import random
import string
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penstock.governance import phone_number, redaction
from penstock.governance.redaction import Found, NotRedacted, redact

ROOT = Path(__file__).parents[2]

# Put together here, so that no scanner takes this file for a leak.
SENSITIVE = [
    ("jane.doe@example.org", "EMAIL"),
    ("jane [at] example [dot] org", "EMAIL"),
    ("jane%40example.org", "EMAIL"),
    ("j\u200bane@exam\u00adple.org", "EMAIL"),
    ("ｊａｎｅ＠example．org", "EMAIL"),
    ("+49 171 1234567", "PHONE"),
    ("+49\u00a0171\u202f1234567", "PHONE"),
    ("0049 30 1234567", "PHONE"),
    ("(030) 1234567", "PHONE"),
    ("0171/1234567", "PHONE"),
    ("415-555-0132", "PHONE"),
    ("1 (415) 555-0132", "PHONE"),
    ("020 7946 0018", "PHONE"),
    ("01 42 68 53 00", "PHONE"),
    ("01.42.68.53.00", "PHONE"),
    ("4111 1111 1111 1111", "CREDIT_CARD"),
    ("5500-0055-5555-5559", "CREDIT_CARD"),
    ("378282246310005", "CREDIT_CARD"),
    ("30569309025904", "CREDIT_CARD"),
    ("123-45-6789", "SSN"),
    ("756.9217.0769.85", "SSN"),
    ("2 55 08 14 168 025 38", "SSN"),
    ("12345678Z", "SSN"),
    ("RSSMRA85T10A562S", "SSN"),
    ("11010519491231002X", "SSN"),
    ("529.982.247-25", "SSN"),
    ("86 095 742 719", "SSN"),
    ("AB 12 34 56 C", "SSN"),
    ("DE89 3704 0044 0532 0130 00", "IBAN"),
    ("gb82west12345698765432", "IBAN"),
    ("FR14-2004-1010-0505-0001-3M02-606", "IBAN"),
    ("AKIA" + "IOSFODNN7EXAMPLF", "KEY"),
    ("ghp_" + "a1B2" * 9, "KEY"),
    ("sk-ant-" + "Ab3dEf6hIj9kLm2nOp5qRs8t" * 30, "KEY"),
    ("eyJhbGciOiJIUzI1NiJ9." + "eyJz" * 400 + "." + "abcDEF12" * 8, "KEY"),
    ("-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow\nAbCd\n-----END RSA " + "PRIVATE KEY-----", "KEY"),
]
LABELLED = [
    ({"phone": "5551234567"}, {"phone": "[PHONE]"}),
    ({"contactPhone": 5551234567}, {"contactPhone": "[PHONE]"}),
    ({"phones": ["5551234567", None]}, {"phones": ["[PHONE]", None]}),
    ({"ssn": 123456789}, {"ssn": "[SSN]"}),
    ({"password": "hunter2"}, {"password": "[KEY]"}),
    ({"db_password": "correct-horse"}, {"db_password": "[KEY]"}),
    ({"Authorization": "Bearer abcd"}, {"Authorization": "[KEY]"}),
    ({"card": 4111111111111111}, {"card": "[CREDIT_CARD]"}),
    ("Steuer-ID: 86095742719", "Steuer-ID: [SSN]"),
    ("my password: Tr0ub4dor&3xyz!", "my password: [KEY]"),
    ("tel 5551234567", "tel [PHONE]"),
]
HARMLESS: list[Any] = [
    "2026-11-20T10:00:00.123456Z",
    "2026/11/20 08:30:00",
    "05.11.2026 10:00",
    "05-11-2026",
    "20261120",
    "08:30-09:45",
    "1732147200000",
    "1732147200000000",
    "0.4111111111111111",
    "0,4111111111111111",
    "1.10.2024",
    "v1.2.3-20261120",
    "testcase-generator@1.0.0",
    "AGENT@V --to STAGE",
    "1.234.567,89 EUR",
    "$1,234,567.89",
    "800 1000 2000",
    "550e8400-e29b-41d4-a716-446655440000",
    "12345678-1234-1234-1234-123456789012",
    "sha256:" + "ab12" * 16,
    "de89" * 16,
    "4111111111111112",
    "order 20261120-4711",
    "TC-001-2345",
    "ISBN 978-3-16-148410-0",
    "4006381333931",
    "192.168.10.254:8080",
    "git@github.com:owner/repository.git",
    "run 0198c0de-7a5b-7c3d-8e9f-0a1b2c3d4e5f took 1234567 us",
    "promptTokens: 12345678",
    "000123456",
    "DE12 3456",
    "call 1234567 times",
    "86095742719",
    "the user's password must have 12 characters",
    {"secret": "JIRA_TOKEN", "maxTokens": 100000, "phone": None, "cell": "A1", "at": 1732147200.5, "n": 2**53},
    {"token": "TC-001", "id": 4711, "bucket": 0.5, "telegram": "20261120"},
]


@pytest.mark.parametrize(("text", "kind"), SENSITIVE)
@pytest.mark.parametrize(("before", "after"), [("", ""), ("it is ", ", they said"), ('{"a": "', '"}'), ("x,", ";y")])
def test_what_is_sensitive_is_replaced_by_its_kind(text: str, kind: str, before: str, after: str) -> None:
    done = redact({"said": f"{before}{text}{after}"})
    assert done.value == {"said": f"{before}[{kind}]{after}"}
    assert done.found == (Found(kind, "said"),)  # type: ignore[arg-type]
    assert done.kinds == {kind: 1}


@pytest.mark.parametrize(("value", "wanted"), LABELLED)
def test_a_name_tells_what_its_digits_are(value: Any, wanted: Any) -> None:
    assert redact(value).value == wanted


@pytest.mark.parametrize("value", HARMLESS, ids=str)
def test_ids_dates_versions_prices_and_digests_stay(value: Any) -> None:
    done = redact(value)
    assert done.found == ()
    assert done.value == value


def test_ids_and_measures_at_random_stay() -> None:
    chance = random.Random(7)
    makers: list[Callable[[], Any]] = [
        lambda: str(uuid.UUID(int=chance.getrandbits(128))),
        lambda: f"runs/{uuid.UUID(int=chance.getrandbits(128))}/events",
        lambda: f"{chance.getrandbits(256):064x}",
        lambda: chance.random() * 1000,
        lambda: datetime.fromtimestamp(chance.random() * 2e9, UTC).isoformat(),
        lambda: datetime.fromtimestamp(chance.random() * 2e9, UTC).strftime("%d.%m.%Y %H:%M"),
        lambda: datetime.fromtimestamp(chance.random() * 2e9, UTC).strftime("%m/%d/%Y, %I:%M"),
        lambda: f"{chance.randrange(30)}.{chance.randrange(300)}.{chance.randrange(3000)}",
        lambda: f"{chance.randrange(10**9) / 100:,.2f} EUR",
        lambda: chance.randrange(10**12, 2 * 10**12),
        lambda: chance.randrange(10**15, 2 * 10**15),
        lambda: f"ORD-{chance.randrange(10**8):08}-{chance.randrange(10**4):04}",
        lambda: " ".join(str(chance.randrange(1000)) for _ in range(8)),
        lambda: ".".join(str(chance.randrange(256)) for _ in range(4)),
    ]
    values = [make() for make in makers for _ in range(300)]
    assert [value for value in values if redact(value).found] == []


def test_the_cases_of_this_project_hold_nothing() -> None:
    files = sorted(ROOT.glob("datasets/*/cases.jsonl"))
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    assert len(lines) > 400
    for line in lines:
        case = json.loads(line)
        done = redact(case)
        assert (done.found, done.value) == ((), case)


def test_a_thousand_planted_canaries_are_all_found() -> None:
    chance = random.Random(20261120)
    makers = [_mail, _phone, _card, _social_number, _account, _key]
    canaries = [makers[at % len(makers)](chance) for at in range(1_000)]
    document = {
        "texts": [f"{_word(chance)} {canary} {_word(chance)}" for canary in canaries[:400]],
        "nested": {f"k{at}": {"list": [{"text": canary}]} for at, canary in enumerate(canaries[400:600])},
        **{canary: at for at, canary in enumerate(canaries[600:700])},
        "json in text": json.dumps([f"line\n{canary}\nline" for canary in canaries[700:900]]),
        "one text": "; ".join(canaries[900:]),
    }
    done = redact(document)
    shown = json.dumps(done.value, ensure_ascii=False)
    assert [canary for canary in canaries if canary in shown or canary in str(done.found)] == []
    assert len(done.found) >= 990  # two that touch are one finding
    assert redact(done.value).found == ()


def test_what_stands_beside_something_found_hides_nothing() -> None:
    chance = random.Random(8)
    makers = [_mail, _phone, _card, _social_number, _account, _key]
    gaps = [" ", ", ", "; ", "\n", " - ", "/", ":", "|", "\t", " (", ") ", " 2026 "]
    for _ in range(1_000):
        canaries = [chance.choice(makers)(chance) for _ in range(chance.randint(2, 6))]
        text = "".join(f"{canary}{chance.choice(gaps)}" for canary in canaries)
        done = redact(text)
        assert [canary for canary in canaries if canary in done.value] == [], text
        assert redact(done.value).value == done.value, text


def test_a_text_with_more_numbers_than_can_be_judged_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_number, "_MOST_ASKED", 1_000)
    with pytest.raises(NotRedacted, match="ValueError"):
        redact(" ".join(f"0{at:04} 0{at:04}" for at in range(1000, 2000)))


def test_a_key_that_is_found_leaves_its_value_alone() -> None:
    block = "-----BEGIN RSA " + "PRIVATE KEY-----"
    assert redact({block * 200: 1}).value == {"[KEY]": 1}


def test_keys_are_redacted_and_none_is_lost() -> None:
    done = redact({"a@example.org": 1, "b@example.org": {"x": "c@example.org"}, "[EMAIL] 2": 3})
    assert done.value == {"[EMAIL]": 1, "[EMAIL] 3": {"x": "[EMAIL]"}, "[EMAIL] 2": 3}
    assert [str(one) for one in done.found] == ["[EMAIL]", "[EMAIL]", "[EMAIL] at [EMAIL] 3.x"]


def test_findings_that_overlap_leave_nothing_between_them() -> None:
    done = redact("https://jane:" + "pa55word" + "@mail.example.org/inbox")
    assert "pa55word" not in done.value
    assert "mail.example.org" not in done.value


@pytest.mark.parametrize(
    "value", [b"jane@example.org", {1: "jane@example.org"}, {"jane@example.org"}, object(), ["jane@example.org", b""]]
)
def test_what_is_no_json_is_an_error_that_shows_nothing(value: Any) -> None:
    with pytest.raises(NotRedacted) as error:
        redact(value)
    assert "jane" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_what_nests_too_deep_is_an_error() -> None:
    value: Any = "jane@example.org"
    for _ in range(5_000):
        value = [value]
    with pytest.raises(NotRedacted, match="RecursionError"):
        redact(value)


@pytest.mark.parametrize("finder", list(redaction._FINDERS))
def test_a_finder_that_breaks_is_an_error_and_passes_nothing_on(
    finder: redaction.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> Any:
        raise ValueError("jane@example.org")

    monkeypatch.setitem(redaction._FINDERS, finder, broken)
    with pytest.raises(NotRedacted, match="ValueError") as error:
        redact({"text": "jane@example.org, room 7"})
    assert "jane" not in str(error.value)


@pytest.mark.parametrize(
    "part",
    ["1 ", "+1", "a.", "@", "a@", "0123 ", "eyJ", "eyJ-", "+49 ", "tel ", "DE89 ", "4111 ", "passport 1 ", "a@b."],
)
def test_long_texts_take_no_long_time(part: str) -> None:
    start = time.process_time()
    redact(part * (60_000 // len(part)))
    assert time.process_time() - start < 3


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 9)))


def _mail(chance: random.Random) -> str:
    name = chance.choice([".", "_", "-", "+", ""]).join([_word(chance), _word(chance)])
    return f"{name}{chance.randint(1, 99)}@{_word(chance)}.{chance.choice(['org', 'de', 'co.uk'])}"


def _phone(chance: random.Random) -> str:
    end = chance.randint(100_0000, 999_9999)
    return chance.choice(
        [
            f"+49 171 {end}",
            f"+49171{end}",
            f"0171/{end}",
            f"0049 171 {end}",
            f"(415) 555-{end % 9000 + 1000}",
            f"+1 212 555 {end % 9000 + 1000}",
        ]
    )


def _card(chance: random.Random) -> str:
    prefix, length = chance.choice([("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("36", 14)])
    digits = prefix + "".join(chance.choices(string.digits, k=length - len(prefix) - 1))
    total = sum(sum(divmod(int(digit) * (2 if at % 2 == 0 else 1), 10)) for at, digit in enumerate(reversed(digits)))
    digits += str(-total % 10)
    gap = chance.choice(["", " ", "-"]) if length == 16 else ""
    return gap.join(digits[at : at + 4] for at in range(0, length, 4))


def _social_number(chance: random.Random) -> str:
    return f"{chance.randint(1, 665):03}-{chance.randint(1, 99):02}-{chance.randint(1, 9999):04}"


def _account(chance: random.Random) -> str:
    rest = "".join(chance.choices(string.digits, k=18))
    number = f"DE{98 - int(f'{rest}131400') % 97:02}{rest}"
    return chance.choice([number, " ".join(number[at : at + 4] for at in range(0, 22, 4))])


def _key(chance: random.Random) -> str:
    letters = string.ascii_letters + string.digits
    end = "".join(chance.choices(letters, k=36))
    return chance.choice([f"ghp_{end}", f"sk-ant-a1{end}", f"glpat-a1{end[:18]}", f"hf_a1{end}", f"AIzaA1{end[:33]}"])
