"""Runbooks have one shape, and the alerts that they name are those of the rules file. Their commands: test_pages.py."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
RULES = ROOT / "deploy" / "prometheus" / "penstock.rules.yaml"
SECTIONS = ["Trigger", "Scope", "Steps", "Rollback", "Review figures"]


def section(page: Path, title: str) -> str:
    parts = re.split(r"^## (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def test_each_trouble_has_a_runbook() -> None:
    assert [page.stem for page in PAGES] == [
        "bad-release", "cost-spike", "lost-database", "mass-failure", "provider-down", "tool-avalanche",
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_says_when_how_far_what_how_back_and_what_it_was(page: Path) -> None:
    assert re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE) == SECTIONS
    assert [title for title in SECTIONS if "\n$ " not in section(page, title)] == [], "each as commands"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_alerts_that_it_names_exist(page: Path) -> None:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    known = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    named = set(re.findall(r"`(Penstock\w+)`", section(page, "Trigger")))
    assert named
    assert named - known == set()
