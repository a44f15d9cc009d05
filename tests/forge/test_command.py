"""The grammar of comments: strict, so that nothing is done that was not meant."""

import pytest

from penstock.errors import WrongUse
from penstock.forge.command import Command, is_call, parse


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("/penstock plan", Command("plan")),
        ("/penstock  plan clerk@1.1.0 --to prod", Command("plan", "clerk", "1.1.0", "prod")),
        ("/penstock promote --to canary\nthank you", Command("promote", stage="canary")),
        (
            "/penstock rollback clerk --stage prod --to 1.0.0 --keep --reason it is  slow --keep",
            Command("rollback", "clerk", "", "prod", "1.0.0", keep=True, reason="it is slow --keep"),
        ),
        ("/penstock hold --reason provider is down", Command("hold", reason="provider is down")),
        ("/penstock unhold clerk --reason it is back", Command("unhold", "clerk", reason="it is back")),
        ("/penstock help", Command("help")),
    ],
)
def test_a_command_is_read(text: str, means: Command) -> None:
    assert is_call(text)
    assert parse(text) == means


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/penstock", "there is no command"),
        ("/penstock deploy", "'deploy' is no command"),
        ("/penstock promote clerk", "needs --to STAGE"),
        ("/penstock promote clerk canary", "one word too many"),
        ("/penstock promote --to moon", "is no stage"),
        ("/penstock promote --to canary --to prod", "given twice"),
        ("/penstock promote --to", "has no value"),
        ("/penstock promote --override --to prod", "no option '--override'"),
        ("/penstock promote clerk@one --to prod", "is no version"),
        ("/penstock plan ../x", "no name of an agent"),
        ("/penstock rollback clerk", "needs --reason"),
        ("/penstock rollback clerk@1.0.0 --reason x", "not of one of its versions"),
        ("/penstock rollback --to one --reason x", "is no version"),
        ("/penstock hold clerk --reason", "has no value"),
        ("/penstock plan " + "x" * 2_000, "characters long"),
    ],
)
def test_what_is_not_understood_says_what(text: str, why: str) -> None:
    with pytest.raises(WrongUse) as refused:
        parse(text)
    assert why in refused.value.what


@pytest.mark.parametrize("text", ["/penstocks plan", "please /penstock plan", "\n/penstock plan", "> /penstock plan"])
def test_other_comments_are_none(text: str) -> None:
    assert not is_call(text)
