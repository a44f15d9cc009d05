"""`agentctl gitlab` as people use it: served webhooks, one look, locks, the set-up's state."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.forge.check import Verdict
from penstock.forge.connection import SIGNING_SECRET, TOKEN, WEBHOOK_TOKEN
from penstock.testing.gitlab.contract import violations

World = Any  # of conftest.py
SIGNING = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
WAIT_S = 60


def cli(here: World, *words: str) -> int:
    return main(["--project", str(here.settings.root), "gitlab", *words])


def read(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@contextmanager
def served(here: World, **secrets: str) -> Iterator[str]:
    """The receiver as a process; it must end with 0 on SIGTERM."""
    command = [sys.executable, "-m", "penstock.cli.main", "--project", str(here.settings.root)]
    process = subprocess.Popen(
        [*command, "gitlab", "serve", "--port", "0", "--json"],
        env={**os.environ, **secrets},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def scenario(here: World) -> None:
    """Over webhooks: a merge request is checked, a comment answered, a duplicate and a stranger do nothing."""
    secrets = {WEBHOOK_TOKEN: "token", SIGNING_SECRET: SIGNING}
    with served(here, **secrets) as url:
        here.gitlab.add_webhook(f"{url}/gitlab/webhook", token="token", signing_token=SIGNING)
        here.gitlab.add_webhook(f"{url}/gitlab/webhook", token="wrong", signing_token=SIGNING)
        here.request({"README.md": "words"})
        head = here.gitlab.head("topic")
        sent = here.gitlab.deliver()
        assert sorted({one.status for one in sent}) == [200, 202, 401] or {one.status for one in sent} == {202, 401}
        wait(lambda: [state for state, _ in here.statuses(head)] == ["success"])
        here.say(1, "/penstock help")
        sent = here.gitlab.deliver()
        wait(lambda: len(here.notes(1, "<!-- penstock:answer")) == 1)
        again = next(one for one in sent if one.kind == "note" and one.status == 202)
        assert here.gitlab.resend(again).status == 200
    assert len(here.notes(1, "<!-- penstock:answer")) == 1
    assert len(here.notes(1, "<!-- penstock:note")) == 1


def wait(is_so: Callable[[], bool]) -> None:
    """Until it is so: webhooks are answered before they are done."""
    ends = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < ends, "it did not come"
        threading.Event().wait(0.05)


def test_webhooks_are_served(world: Callable[..., World]) -> None:
    scenario(world())


def test_serve_does_not_begin_without_a_secret(world: Callable[..., World], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(world(), "serve", "--port", "0") == 2
    assert "nothing would tell a webhook" in capsys.readouterr().err


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that runs nothing."""
    verdict = Verdict("passed", "all is well")
    monkeypatch.setattr("penstock.forge.review.check_head", lambda *_, **__: verdict)


@pytest.mark.usefixtures("quick")
def test_one_look_and_a_check_by_hand(world: Callable[..., World], capsys: pytest.CaptureFixture[str]) -> None:
    here = world()
    here.request({"README.md": "words"})
    assert cli(here, "sync", "--json") == 0
    assert "!1: passed" in read(capsys)["done"]
    assert cli(here, "sync") == 0
    assert capsys.readouterr().out == "nothing to do\n"
    assert cli(here, "check", "1", "--json") == 0
    found = read(capsys)
    assert (found["outcome"], found["head"]) == ("passed", here.gitlab.head("topic"))
    assert cli(here, "check", "7", "--json") == 1
    assert read(capsys)["error"]["type"] == "not-found"


def test_locks_are_shown_and_broken(world: Callable[..., World], capsys: pytest.CaptureFixture[str]) -> None:
    here = world()
    bot = here.bot()
    bot.workspace.fetch()
    with bot.locked("clerk", "canary", "promote clerk@1.0.0"):
        assert cli(here, "locks", "--json") == 0
        (held,) = read(capsys)
        assert (held["agent"], held["stage"], held["about"]) == ("clerk", "canary", "promote clerk@1.0.0")
        assert cli(here, "unlock", "clerk", "canary", "--reason", "it hangs") == 0
        assert "is broken" in capsys.readouterr().out
    assert cli(here, "locks") == 0
    assert capsys.readouterr().out == "no lock is held\n"
    assert cli(here, "unlock", "clerk", "canary", "--reason", "again") == 1


def test_status_says_what_is_missing(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world()
    bot = here.bot()
    bot.workspace.releases.lineage(create=True)
    monkeypatch.setenv(WEBHOOK_TOKEN, "token")
    assert cli(here, "status") == 0
    assert "[ok] token: is @penstock's" in capsys.readouterr().out
    here.gitlab.set_access("penstock", 20)
    here.gitlab.settings.protected.clear()
    monkeypatch.delenv(WEBHOOK_TOKEN)
    assert cli(here, "status", "--json") == 1
    missing = {one["about"] for one in read(capsys) if not one["ok"]}
    assert missing == {"role", "base branch", "webhook"}
    monkeypatch.setenv(TOKEN, "wrong")
    assert cli(here, "status") == 1
    shown = capsys.readouterr().out
    assert "[no] token: GitLab says 401" in shown
    assert "wrong" not in shown


@pytest.mark.servers
@pytest.mark.usefixtures("quick")
def test_every_call_is_one_that_gitlab_knows(world: Callable[..., World], capsys: pytest.CaptureFixture[str]) -> None:
    here = world()
    here.reconcile()
    scenario(here)
    here.say(1, "/penstock hold clerk --reason because", by="ben")
    here.push("topic", {"registry_repo/agents/clerk/1.1.0.yaml": "broken"})
    assert cli(here, "sync") in {0, 1}
    here.say(1, "/penstock unhold clerk --reason it is over", by="ben")
    here.push("topic", {"registry_repo/agents/clerk/1.1.0.yaml": None})
    assert cli(here, "sync") in {0, 1}
    iid = here.propose(("clerk", "1.0.0", "canary"))
    here.approve_request(iid, "ben")
    assert here.settle(iid).outcome == "merged"
    closed = here.propose(("clerk", "1.0.0", "prod"))
    with here.as_user("mia") as mia:
        mia.project.mergerequests.update(closed, {"state_event": "close"})
    assert cli(here, "sync") in {0, 1}
    assert cli(here, "status") in {0, 1}
    assert violations(here.gitlab.calls) == []
    capsys.readouterr()
