"""`validate --base` on stages files: whoever signs as the bot is judged by the release store, not by the name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.release.stages_file import stages_path

World = Any
EVE = ("Eve Else", "eve@example.org")
BOT = ("Penstock", "bot@penstock.invalid")
TRAILERS = f"Canary\n\nPenstock-Action: promote helper@1.0.0 canary\nEvidence: sha256:{'0' * 64}\n"


@pytest.fixture
def here(world: Callable[..., World]) -> World:
    """`helper` 1.0.0 in canary by the ordinary path."""
    made = world()
    made.reconcile()
    made.to_canary("helper", "1.0.0")
    return made


def validated(here: World, base: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = here.cli(EVE, "validate", "--base", base)
    return status, capsys.readouterr().err


def branch_with(here: World, author: tuple[str, str], message: str) -> None:
    clone = here.clone(EVE)
    clone.git("pull", "--quiet", "--ff-only")
    clone.branch("side")
    text = (clone.root / stages_path("helper")).read_text()
    clone.commit({stages_path("helper"): text.replace("weightBp: 2000", "weightBp: 10000")}, message, author)


def test_what_promotion_wrote_is_no_fault(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    first = here.author.git("rev-parse", "HEAD")
    assert here.clone(EVE).git("diff", "--name-only", first, "origin/main") == stages_path("helper")
    assert validated(here, first, capsys) == (0, "")


def test_a_person_s_edit_is_a_fault(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    branch_with(here, EVE, TRAILERS)
    status, words = validated(here, "origin/main", capsys)
    assert status == 1
    assert "registry_repo/stages/helper.yaml: is edited by hand (eve@example.org)" in words


@pytest.mark.parametrize("message", ["Tidy", TRAILERS])
def test_the_bot_s_address_is_no_proof(here: World, capsys: pytest.CaptureFixture[str], message: str) -> None:
    branch_with(here, BOT, message)
    status, words = validated(here, "origin/main", capsys)
    assert status == 1
    commit = here.clone(EVE).git("rev-parse", "--short=12", "HEAD")
    assert f"registry_repo/stages/helper.yaml: commit {commit} (bot@penstock.invalid):" in words


def test_what_cannot_be_judged_is_refused(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    branch_with(here, BOT, TRAILERS)
    Path(here.home / "releases").rename(here.home / "away")
    status, words = validated(here, "origin/main", capsys)
    assert status == 1
    assert "the release store that could allow it is away" in words
    assert "take the edit out of the branch" in words


def test_a_merge_that_drops_a_promotion_is_seen_and_changes_nothing(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    clone, before = here.clone(EVE), here.routes()
    clone.git("fetch", "--quiet")
    old = clone.git("log", "--format=%H", "--diff-filter=A", "origin/main", "--", stages_path("helper"))
    clone.git("checkout", "--quiet", "-b", "side", old)
    clone.git("merge", "--quiet", "--strategy", "ours", "--message", "Merge main", "origin/main")
    status, words = validated(here, "origin/main", capsys)
    assert status == 1
    assert "a merge that took another side" in words
    clone.git("push", "--quiet", "origin", "side:main")
    done = here.reconcile()
    assert "a merge took another side" in done.drift[0]
    assert here.routes() == before
