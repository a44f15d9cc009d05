"""The worlds in which the pages' commands run: made once for all tests, copied for each page."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD_S = 300
# What `agentctl` is in a page's shell: as little Python as passes the call on.
CALLER = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as call:
    call.connect({place!r})
    said = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(call, [said], [0, 1, 2])
    call.shutdown(socket.SHUT_WR)
    answer = b""
    while piece := call.recv(16):
        answer += piece
sys.exit(int(answer) if answer else 70)
"""
IDENTITY = "[user]\n\tname = Ada Author\n\temail = author@example.com\n[init]\n\tdefaultBranch = main\n"


@dataclass(frozen=True)
class World:
    """Where a page's commands begin, what their shell knows, and what is done there before the first of them."""

    start: Path
    environment: dict[str, str]
    before: str = ""

    def warmed(self, folder: Path) -> "World":
        """The same, whose shell knows the folder of the warm `agentctl`."""
        return replace(self, environment={**self.environment, "WARM_AGENTCTL": str(folder)})


@pytest.fixture(scope="session")
def worlds_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of this test session."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "worlds"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def warm_agentctl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an `agentctl` for which everything is imported already (see warm_agentctl.py)."""
    folder = tmp_path_factory.mktemp("warm")
    place = folder / "socket"
    words = [sys.executable, str(HERE / "warm_agentctl.py"), str(place)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        (folder / "bin").mkdir()
        program = folder / "bin" / "agentctl"
        program.write_text(CALLER.format(python=sys.executable, place=str(place)), "utf-8")
        program.chmod(0o755)
        yield program.parent
        server.stdin.close()
        server.wait(20)


@pytest.fixture
def world(worlds_folder: Path, warm_agentctl: Path, tmp_path: Path) -> Iterator[Callable[[str], World]]:
    """A copy of the named world for this test alone.

    empty     an empty folder
    project   what `agentctl init` lays down, with a bare remote called origin, on main
    released  the demo's three clones: testcase-generator 1.0.0 in prod, 1.1.0 in dev with what canary asks for; it
              begins at the release manager
    served    the same with an executor on port 8080
    no_provider, bad_release, tool_avalanche, cost_spike, mass_failure, no_database
              an operator's clone and an executor on port 8080, in the trouble of that name (see operated_world.py)
    gitlab    the project at a GitLab of its own, with merge request 1 open; it begins at the bot's clone
    """
    with contextlib.ExitStack() as stack:
        yield lambda name: _world(name, worlds_folder, tmp_path, stack).warmed(warm_agentctl)


def _world(name: str, worlds: Path, tmp_path: Path, stack: contextlib.ExitStack) -> World:
    folder = tmp_path / "world"
    environment = _environment(tmp_path)
    if name == "empty":
        folder.mkdir()
        return World(folder, environment)
    if name in {"project", "gitlab"}:
        _copy(worlds, "project", folder, lambda place: _make_project(place, environment))
        _git(folder / "shop", "remote", "set-url", "origin", str(folder / "registry.git"))
        if name == "gitlab":
            environment |= _at_gitlab(folder, stack)
        return World(folder / "shop", environment)
    if name in TROUBLES:
        return _in_trouble(name, worlds, folder, environment, stack)
    assert name in {"released", "served"}, f"there is no world {name!r}"
    _copy(worlds, "released", folder, _make_released)
    for clone in ("author", "approver", "release-manager"):
        _git(folder / clone, "remote", "set-url", "origin", str(folder / "registry.git"))
    environment["PENSTOCK_RELEASES_URL"] = str(folder / "releases")
    environment["PENSTOCK_DATABASE_URL"] = f"sqlite:///{folder / 'store.db'}"
    return World(folder / "release-manager", environment, SERVE if name == "served" else "")


def _in_trouble(
    name: str, worlds: Path, folder: Path, environment: dict[str, str], stack: contextlib.ExitStack
) -> World:
    """Models on their ports, an executor, and what went wrong."""
    from penstock.testing.model_server import ModelServer

    _copy(worlds, "operated", folder, _make_operated)
    _git(folder / "operator", "remote", "set-url", "origin", str(folder / "author.git"))
    ports = json.loads((folder / "ports.json").read_text("utf-8"))
    for port in ports[1:] if name == "no_provider" else ports:
        stack.enter_context(ModelServer(port=port))
    environment["PENSTOCK_RELEASES_URL"] = str(folder / "releases")
    environment["PENSTOCK_DATABASE_URL"] = f"sqlite:///{folder / 'disk/store.db'}"
    environment["STOCK"] = str(folder / "shelf.json")
    return World(folder / "operator", environment, SEND + TROUBLES[name].replace("SERVE\n", SERVE))


def _at_gitlab(folder: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    """Puts a GitLab in front of the bare repository; returns what the bot's environment has."""
    from penstock.testing.gitlab import GitlabFake

    gitlab = stack.enter_context(GitlabFake(folder / "registry.git"))
    gitlab.add_user("penstock", access_level=40, bot=True)
    gitlab.add_user("ada", email="author@example.com")
    gitlab.commit("words", {"notes.md": "A word.\n"}, "Say something", by="ada")
    gitlab.open_merge_request("words", by="ada")
    _git(folder / "shop", "remote", "set-url", "origin", gitlab.git_url("penstock"))
    return {
        "PENSTOCK_GITLAB_URL": gitlab.url,
        "PENSTOCK_GITLAB_PROJECT": gitlab.project,
        "PENSTOCK_GITLAB_TOKEN": gitlab.token_of("penstock"),
        "PENSTOCK_GITLAB_WEBHOOK_TOKEN": "a-long-and-random-word",
    }


SERVE = """\
agentctl serve --insecure-dev --port 8080 > ../executor.log 2>&1 &
PIDS+=($!)
curl --silent --output /dev/null --retry 300 --retry-delay 0 --retry-max-time 60 --retry-all-errors --fail \
  http://127.0.0.1:8080/readyz || { cat ../executor.log; exit 99; }
"""


SEND = """\
warm() { PATH=${WARM_AGENTCTL:+$WARM_AGENTCTL:}$PATH "$@"; }
send() {  # agent, how many at once, input
  local sent=()
  for _ in $(seq $2); do
    curl --silent --output /dev/null -H 'content-type: application/json' -d "{\\"input\\": \\"$3\\"}" \\
      http://127.0.0.1:8080/v1/agents/$1/runs & sent+=($!)
  done
  wait "${sent[@]}"
}
stored() {  # what was answered is in the database as well
  until curl --silent http://127.0.0.1:8080/metrics | grep -q "^penstock_spool_bytes 0.0"; do sleep 0.05; done
}
"""
TROUBLES = {
    "no_provider": "SERVE\nsend clerk 12 paper; stored\n",
    "mass_failure": """\
warm agentctl breaker open models/main --reason "maintenance tonight" > /dev/null || exit 99
SERVE
send scribe 12 ink; send clerk 2 ink; stored
""",
    "bad_release": """\
warm agentctl promote clerk@1.2.0 --to canary > /dev/null && warm agentctl promote clerk@1.2.0 --to prod \\
  --override --reason "it works here" > /dev/null || exit 99
SERVE
send clerk 12 paper; stored
""",
    "tool_avalanche": "mv $STOCK $STOCK.gone\nSERVE\nsend clerk 12 paper; stored\n",
    "cost_spike": """\
SERVE
send clerk 3 paper; send clerk 3 "$(printf 'paper %.0s' $(seq 10000))"; stored
""",
    "no_database": "mv ../disk ../backup; touch ../disk\nSERVE\nsend clerk 4 paper\n",
}
"""What each trouble's shell does before the page's first command."""


def _environment(folder: Path) -> dict[str, str]:
    (folder / "gitconfig").write_text(IDENTITY, "utf-8")
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "GIT_", "PYTEST_"))
    }
    return {
        **inherited,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], *_curl(folder)]),
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def _curl(folder: Path) -> list[str]:
    """A folder with a curl, where the machine has none."""
    if shutil.which("curl"):
        return []
    (folder / "bin").mkdir(exist_ok=True)
    place = folder / "bin" / "curl"
    place.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "plain_curl.py"}" "$@"\n', "utf-8")
    place.chmod(0o755)
    return [str(place.parent)]


def _copy(worlds: Path, name: str, folder: Path, make: Callable[[Path], None]) -> None:
    """Copies the world, made now if no process of this session has made it yet."""
    with _locked(worlds / f"{name}.lock"):
        if not (worlds / f"{name}.made").exists():
            shutil.rmtree(worlds / name, ignore_errors=True)
            make(worlds / name)
            (worlds / f"{name}.made").touch()
    shutil.copytree(worlds / name, folder, symlinks=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_project(folder: Path, environment: dict[str, str]) -> None:
    folder.mkdir()
    _run([sys.executable, "-m", "penstock.cli.main", "init", str(folder / "shop")], folder, environment)
    _git(folder, "clone", "--quiet", "--bare", "shop", "registry.git")
    _git(folder / "shop", "remote", "add", "origin", str(folder / "registry.git"))
    _git(folder / "shop", "fetch", "--quiet", "origin")


def _make_released(folder: Path) -> None:
    _run([sys.executable, str(HERE / "released_world.py"), str(folder)], folder.parent, _environment(folder.parent))


def _make_operated(folder: Path) -> None:
    _run([sys.executable, str(HERE / "operated_world.py"), str(folder)], folder.parent, _environment(folder.parent))


def _git(folder: Path, *words: str) -> None:
    _run(["git", *words], folder, dict(os.environ))


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
