"""Telling the endpoint: at least once, in order, in bounded time, and never in the way of whoever promotes."""

import base64
import contextlib
import importlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from penstock.cli.main import main
from penstock.contracts.routing_table import AgentRoutes, Entry, RoutingTable, TableSource
from penstock.errors import Refused, Unavailable, WrongUse
from penstock.release.notify import due_notices, notify_changes, send_test, skip_due
from penstock.release.workspace import Workspace, open_workspace
from penstock.settings import load_settings
from penstock.store.told import ToldGenerations
from penstock.testing.receiver import Receiver

World = Any
MANAGER = ("Mia Manager", "manager@example.org")
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """An endpoint, set as the project's."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Receiver() as made:
        monkeypatch.setenv("PENSTOCK_NOTIFY_URL", made.url)
        yield made


class Tables:
    """A release store that tables are put into by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pyproject.toml").write_text("[tool.penstock]\n")
        self.workspace.releases.lineage(create=True)

    @property
    def workspace(self) -> Workspace:
        return open_workspace(load_settings(self.root))

    def publish(self, **versions: str) -> RoutingTable:
        """The next generation, in which these agents have that version in prod."""
        releases = self.workspace.releases
        before = releases.newest_table()
        agents = {
            name: AgentRoutes(prod=Entry(version=version, release=f"sha256:{'0' * 64}", runtime="direct"))
            for name, version in versions.items()
        }
        made = RoutingTable(
            lineage=releases.lineage(),
            generation=releases.highest_generation() + 1,
            created_at="2026-11-20T10:00:00.000000Z",
            source=TableSource(
                commit=None,
                kind="promote",
                actor="ada@example.org",
                reason="better",
                previous_generation=before.generation if before is not None else None,
            ),
            agents={**(before.agents if before is not None else {}), **agents},
        )
        assert releases.create_table(made)
        return made

    def notify(self, **options: Any) -> list[str]:
        found = notify_changes(self.workspace, **options)
        assert found.error is None, found.problem
        return [notice.id.partition("/")[2] for notice in found.told]

    @property
    def last(self) -> int | None:
        return ToldGenerations(self.workspace.releases.objects).last()


@pytest.fixture
def tables(tmp_path: Path, receiver: Receiver) -> Tables:
    """Two generations, told up to the second."""
    made = Tables(tmp_path)
    made.publish(clerk="1.0.0", guide="1.0.0")
    made.publish(clerk="1.1.0")
    assert made.notify() == []
    assert receiver.received == []
    return made


def test_the_first_use_tells_no_history_and_what_comes_after_is_told_once(tables: Tables, receiver: Receiver) -> None:
    made = tables.publish(clerk="1.2.0")
    assert tables.notify() == ["3/clerk"]
    assert tables.notify() == []
    [request] = receiver.received
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert "webhook-signature" not in request.headers
    event = request.event
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": f"{made.lineage}/3/clerk",
        "source": f"urn:uuid:{made.lineage}",
        "type": "dev.penstock.release.promoted",
        "subject": "clerk",
        "time": "2026-11-20T10:00:00Z",
        "datacontenttype": "application/json",
    }
    assert (data["generation"], data["previousGeneration"], data["actor"], data["reason"]) == (
        3,
        2,
        "ada@example.org",
        "better",
    )
    assert (data["before"]["prod"]["version"], data["after"]["prod"]["version"]) == ("1.1.0", "1.2.0")


def test_the_beginning_is_one_for_all_who_begin_at_once(tmp_path: Path, receiver: Receiver) -> None:
    tables = Tables(tmp_path)
    tables.publish(clerk="1.0.0")
    told = ToldGenerations(tables.workspace.releases.objects)
    assert told.begin(1) == 1
    tables.publish(clerk="1.1.0")
    assert told.begin(2) == 1  # whoever saw no begin yet, and a newer table
    assert tables.notify() == ["2/clerk"]


def test_nothing_is_asked_or_written_where_nobody_is_to_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables(tmp_path)
    tables.publish(clerk="1.0.0")
    monkeypatch.setattr(ToldGenerations, "last", lambda self: pytest.fail("the store was asked"))
    assert notify_changes(tables.workspace).as_document() == {"told": [], "generation": None, "problem": None}
    assert main(["--project", str(tmp_path), "notify"]) == WrongUse.exit_code


def test_generations_are_told_in_order_and_torn_ones_passed_over(tables: Tables, receiver: Receiver) -> None:
    tables.publish(clerk="1.2.0")
    tables.workspace.releases.objects.create("routing/000000000004.json", b'{"schema": ')
    tables.publish(clerk="1.3.0", guide="2.0.0")
    tables.publish(clerk="1.3.0")  # changes nothing
    assert [str(notice) for notice in due_notices(tables.workspace)] == [
        "clerk: promoted by routing table 3",
        "clerk: promoted by routing table 5",
        "guide: promoted by routing table 5",
    ]
    assert receiver.received == []
    assert tables.notify() == ["3/clerk", "5/clerk", "5/guide"]
    assert tables.last == 6


def test_a_failure_that_passes_is_tried_again_at_once(tables: Tables, receiver: Receiver) -> None:
    receiver.answers.extend([500, 503])
    tables.publish(clerk="1.2.0")
    assert tables.notify() == ["3/clerk"]
    assert [event["id"][-8:] for event in receiver.events] == ["/3/clerk"] * 3


@pytest.mark.parametrize("status", [401, 404, 410, 302])
def test_a_no_is_a_sentence_and_is_told_next_time(tables: Tables, receiver: Receiver, status: int) -> None:
    receiver.answers.append(status)
    tables.publish(clerk="1.2.0")
    found = notify_changes(tables.workspace)
    assert isinstance(found.error, Refused)
    assert f"it answered {status}" in found.problem
    assert "/hook" not in str(found.error)  # the path is a secret of many receivers
    assert [request.path for request in receiver.received] == ["/hook"]  # a redirect is not followed
    assert (tables.last, tables.notify(), tables.last) == (2, ["3/clerk"], 3)


def test_an_endpoint_that_is_away_fails_nobody(
    tables: Tables, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.publish(clerk="1.2.0")
    with Receiver() as gone:
        away = gone.url.replace("http://", "http://me:hunter2@")
    monkeypatch.setenv("PENSTOCK_NOTIFY_URL", f"{away}?token=abc")
    found = notify_changes(tables.workspace, within_s=2)
    assert isinstance(found.error, Unavailable)
    assert "cannot be reached" in found.problem
    assert not any(word in json.dumps(found.as_document()) for word in ("hunter2", "token", "/hook"))
    monkeypatch.setenv("PENSTOCK_NOTIFY_URL", receiver.url)
    assert tables.notify() == ["3/clerk"]


def test_an_endpoint_that_never_answers_holds_nobody_up(tables: Tables, receiver: Receiver) -> None:
    receiver.answers.append(0)
    tables.publish(clerk="1.2.0")
    found = notify_changes(tables.workspace, within_s=1.5)
    assert "did not answer in time" in found.problem
    assert (found.told, tables.last) == ([], 2)
    assert tables.notify() == ["3/clerk"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n" + b"x" * 300_000, ""),
        (b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\nzz", "it answered 500"),
        (b"SSH-2.0-server\r\n", "it does not answer as HTTP: RemoteProtocolError"),
        (b"", "it does not answer as HTTP: RemoteProtocolError"),
    ],
    ids=["endless", "broken", "no HTTP", "nothing"],
)
def test_an_answer_is_its_status_and_nothing_else_is_waited_for(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, answer: bytes, problem: str
) -> None:
    tables.publish(clerk="1.2.0")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=answer_all, args=(listening, answer), daemon=True)
        answering.start()
        monkeypatch.setenv("PENSTOCK_NOTIFY_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/hook")
        found = notify_changes(tables.workspace, within_s=2)
        listening.shutdown(socket.SHUT_RDWR)
    answering.join(20)
    assert problem in found.problem
    assert (tables.last == 3) is (problem == "")


def answer_all(listening: socket.socket, answer: bytes) -> None:
    """Answers each connection so, until nobody listens any more; whoever closes early gets no more."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as asked, contextlib.suppress(OSError):
                head = list(iter(asked.readline, b"\r\n"))
                asked.read(next(int(line[15:]) for line in head if line.lower().startswith(b"content-length:")))
                connection.sendall(answer)


def test_who_calls_often_leaves_an_endpoint_that_is_away_alone_for_a_while(
    tables: Tables, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.publish(clerk="1.2.0")
    receiver.answers.append(404)
    assert notify_changes(tables.workspace, pause_s=30).error is not None
    assert tables.notify(pause_s=30) == []
    assert (len(receiver.received), tables.last) == (1, 2)
    assert tables.notify() == ["3/clerk"]  # a person who asks is not put off
    tables.publish(clerk="1.3.0")
    assert tables.notify(pause_s=30) == ["4/clerk"]


def test_what_no_timeout_bounds_is_bounded_all_the_same(
    tables: Tables, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, over = threading.Event(), threading.Event()

    def resolve(*_: object, **__: object) -> None:
        hanging.set()
        over.wait(20)
        raise OSError("no such name")

    tables.publish(clerk="1.2.0")
    with monkeypatch.context() as patched:
        patched.setattr("socket.getaddrinfo", resolve)
        begun = time.monotonic()
        found = notify_changes(tables.workspace, within_s=3)
        took_s = time.monotonic() - begun
        assert hanging.wait(20)
        over.set()
    assert "there was no end to it" in found.problem
    assert took_s < 15  # the look-up alone takes 20


KILLED_TELLER = """\
import os, signal
from pathlib import Path
from penstock.release import crash_point
from penstock.release.notify import notify_changes
from penstock.release.workspace import open_workspace
from penstock.settings import load_settings

crash_point.arm(lambda point: os.kill(os.getpid(), signal.SIGKILL))
notify_changes(open_workspace(load_settings(Path.cwd())))
"""


def test_a_teller_killed_between_delivery_and_mark_loses_nothing(tables: Tables, receiver: Receiver) -> None:
    tables.publish(clerk="1.2.0")
    tables.publish(clerk="1.3.0")
    done = subprocess.run([sys.executable, "-c", KILLED_TELLER], cwd=tables.root, timeout=60, check=False)
    assert (done.returncode, tables.last) == (-signal.SIGKILL, 2)
    assert tables.notify() == ["3/clerk", "4/clerk"]
    assert [event["id"][-8:] for event in receiver.events] == ["/3/clerk", "/3/clerk", "/4/clerk"]


def test_many_at_once_may_repeat_but_lose_nothing(tables: Tables, receiver: Receiver) -> None:
    def publish_and_tell(number: int) -> None:
        with lock:
            tables.publish(clerk=f"2.{number}.0", guide=f"2.{number}.0")
        assert notify_changes(tables.workspace).error is None

    lock = threading.Lock()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(publish_and_tell, range(8)))
    wanted = {f"/{generation}/{agent}" for generation in range(3, 11) for agent in ("clerk", "guide")}
    assert {event["id"][36:] for event in receiver.events} == wanted
    assert (tables.last, tables.notify()) == (10, [])


def test_a_generation_of_many_agents_goes_on_where_time_ran_out(tables: Tables, receiver: Receiver) -> None:
    names = [f"agent-{number:02}" for number in range(6)]
    tables.publish(**dict.fromkeys(names, "1.0.0"))
    receiver.answers.extend([204, 204, 204, 400])
    found = notify_changes(tables.workspace)
    assert ([notice.agent for notice in found.told], tables.last) == (names[:3], 2)
    assert [notice.agent for notice in due_notices(tables.workspace)] == names[3:]
    assert tables.notify() == [f"3/{name}" for name in names[3:]]
    assert tables.last == 3


def test_a_table_whose_predecessor_is_gone_is_no_guess(tables: Tables, receiver: Receiver) -> None:
    tables.publish(clerk="1.2.0")
    (tables.root / ".penstock/releases/routing/000000000002.json").unlink()
    found = notify_changes(tables.workspace)
    assert "table 2 cannot be read" in found.problem
    assert receiver.received == []
    assert (skip_due(tables.workspace), tables.notify()) == (3, [])


def test_a_signature_that_the_standard_verifies(
    tables: Tables, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_NOTIFY_SECRET", SECRET)
    made = tables.publish(clerk="1.2.0")
    assert tables.notify() == ["3/clerk"]
    [request] = receiver.received
    assert request.headers["webhook-id"] == f"{made.lineage}/3/clerk"
    assert Webhook(SECRET).verify(request.body, request.headers)["subject"] == "clerk"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body.replace(b"clerk", b"clark"), request.headers)


@pytest.mark.parametrize("secret", ["hunter2", "whsec_c2hvcnQ=", "whsec_*"])
def test_a_secret_that_is_none_is_named_and_not_shown(
    tables: Tables, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("PENSTOCK_NOTIFY_SECRET", secret)
    tables.publish(clerk="1.2.0")
    found = notify_changes(tables.workspace)
    assert "is no secret of Standard Webhooks" in found.problem
    assert secret not in f"{found.error}"
    assert receiver.received == []


@pytest.mark.parametrize("url", ["ftp://example.org/x", "example.org/hook", "http://", "http://example.org:many/x"])
def test_an_address_that_is_none_is_wrong_use(tables: Tables, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PENSTOCK_NOTIFY_URL", url)
    tables.publish(clerk="1.2.0")
    assert isinstance(notify_changes(tables.workspace).error, WrongUse)


@pytest.mark.parametrize(
    ("module", "extra"), [("httpx", "notify"), ("cloudevents.core.v1.event", "notify"), ("standardwebhooks", "notify")]
)
def test_a_missing_library_says_what_brings_it(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    tables.publish(clerk="1.2.0")
    monkeypatch.setenv("PENSTOCK_NOTIFY_SECRET", SECRET)
    importlib.import_module(module)
    monkeypatch.setitem(sys.modules, module, None)
    found = notify_changes(tables.workspace)
    assert found.error is not None
    assert f"pip install 'penstock[{extra}]'" in found.error.now


def test_the_command_tells_shows_tries_and_skips(
    tables: Tables, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    def agentctl(*words: str) -> tuple[int, str]:
        status = main(["--project", str(tables.root), "notify", *words])
        return status, capsys.readouterr().out

    tables.publish(clerk="1.2.0")
    assert agentctl("--dry") == (0, "due: clerk: promoted by routing table 3\n")
    assert agentctl("--test", "--json")[0] == 0
    assert receiver.events[-1]["type"] == "dev.penstock.release.test"
    receiver.answers.append(404)
    assert agentctl()[0] == Refused.exit_code
    receiver.answers.append(404)
    assert agentctl("--test")[0] == Refused.exit_code
    assert agentctl() == (0, "told: clerk: promoted by routing table 3\nall is told up to routing table 3\n")
    tables.publish(clerk="1.3.0")
    assert agentctl("--skip") == (0, "telling goes on after routing table 4\n")
    assert agentctl("--dry") == (0, "nothing is due\n")
    assert agentctl("--dry", "--skip")[0] == WrongUse.exit_code
    with pytest.raises(WrongUse):
        send_test(Workspace(tables.workspace.settings.model_copy(update={"notify_url": ""}), tables.workspace.releases))


def test_the_path_tells_each_step_once_and_its_commit_is_no_news(
    world: Callable[..., World], receiver: Receiver
) -> None:
    here = world()
    here.reconcile()
    here.cli(MANAGER, "notify")
    here.approve("helper", "1.0.0", "canary", ("Ben Approver", "approver@example.org"))
    assert here.cli(("Ben Approver", "approver@example.org"), "promote", "helper@1.0.0", "--to", "canary") == 0
    assert here.cli(MANAGER, "freeze", "helper", "--reason", "incident 7") == 0  # published, then committed
    assert here.cli(MANAGER, "thaw", "helper") == 0
    assert here.cli(MANAGER, "rollback", "helper", "--reason", "bad") == 0
    assert here.cli(MANAGER, "reconcile") == 0
    kinds = [event["type"].rpartition(".")[2] for event in receiver.events]
    assert kinds == ["promoted", "frozen", "thawed", "rolledback"]
    assert [event["data"]["changes"] for event in receiver.events][3] == ["rolledback", "held", "quarantined"]
    assert [event["data"]["actor"] for event in receiver.events] == ["approver@example.org", *[MANAGER[1]] * 3]
    assert receiver.events[1]["data"]["reason"] == "incident 7"
