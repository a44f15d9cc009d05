"""How commands speak: text that models and tools wrote cannot steer the terminal that shows it."""

import json

import pytest

from penstock.cli.output import report_error, say, show
from penstock.errors import Fault, Invalid, NotFound

STEERING = "red \x1b[31m, back \r over, turned \u202e, half \ud800"
SHOWN = "red ⟦U+001B⟧[31m, back ⟦U+000D⟧ over, turned ⟦U+202E⟧, half ⟦U+D800⟧"


def test_text_for_people_shows_what_would_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show({}, f"first\n\t{STEERING}", as_json=False)
    say(STEERING)
    report_error(NotFound(STEERING), as_json=False)
    report_error(Invalid("broken", faults=[Fault("a.yaml", 1, 1, "", STEERING)]), as_json=False)
    out, err = capsys.readouterr()
    assert out == f"first\n\t{SHOWN}\n"
    assert err == f"{SHOWN}\nerror: {SHOWN}\na.yaml:1:1: {SHOWN}\nbroken\n"


def test_json_is_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    text = STEERING.replace("\ud800", "")
    show({"text": text}, "", as_json=True)
    assert json.loads(capsys.readouterr().out) == {"text": text}
