"""The processes of `agentctl dev`: executor, Dagster's webserver and its daemon, started and ended together."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from penstock.errors import Unavailable
from penstock.orchestration.home import NO_TELEMETRY, prepare_home
from penstock.settings import Settings

READY_WITHIN_S = 90
ENDED_WITHIN_S = 45


@dataclass
class Household:
    """Children by name; each writes to a log of its own below .penstock/logs.

    Not below DAGSTER_HOME/logs: with telemetry off too, Dagster's processes send what lies there to its makers.
    """

    settings: Settings
    port: int
    dagster_port: int
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def executor_url(self) -> str:
        """Where the executor listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dagster_url(self) -> str:
        """Where Dagster's UI listens."""
        return f"http://127.0.0.1:{self.dagster_port}"

    @property
    def logs(self) -> Path:
        """The folder of the children's logs."""
        return self.settings.state / "logs"

    def start(self) -> None:
        """Starts all and waits until both URLs answer; raises `Unavailable` and leaves nothing running otherwise."""
        home = prepare_home(self.settings)
        self.logs.mkdir(parents=True, exist_ok=True)
        entry = str(self.settings.root / "pipelines" / "definitions.py")
        python = [sys.executable, "-m"]
        webserver = [*python, "dagster_webserver", "-h", "127.0.0.1", "-p", str(self.dagster_port), "-f", entry]
        if self.settings.driver == "ci":
            webserver.append("--read-only")
        serve = ["penstock.cli.main", "serve", "--insecure-dev", "--port", str(self.port)]
        try:
            self._start("executor", [*python, *serve], home)
            self._start("webserver", webserver, home)
            self._start("daemon", [*python, "dagster._daemon", "run", "-f", entry], home)
            self._wait_answer("executor", f"{self.executor_url}/healthz")
            self._wait_answer("webserver", f"{self.dagster_url}/server_info")
        except BaseException:
            self.stop()
            raise

    def ended(self) -> str | None:
        """The name of a child that has ended by itself; None while all live."""
        return next((name for name, child in self.children.items() if child.poll() is not None), None)

    def stop(self) -> None:
        """Ends all children and waits for them; the executor drains first."""
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        ends = time.monotonic() + ENDED_WITHIN_S
        for child in self.children.values():
            try:
                child.wait(max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdin is not None:
                child.stdin.close()

    def _start(self, name: str, command: list[str], home: Path) -> None:
        with (self.logs / f"{name}.log").open("wb") as log:
            self.children[name] = subprocess.Popen(
                [sys.executable, "-m", "penstock.orchestration.child", *command],
                cwd=self.settings.root,
                env={
                    **os.environ,
                    **NO_TELEMETRY,
                    "DAGSTER_HOME": str(home),
                    "PENSTOCK_EXECUTOR_URL": self.executor_url,
                },
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def _wait_answer(self, name: str, url: str) -> None:
        ends = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < ends:
            ended = self.ended()
            if ended is not None:
                raise Unavailable(f"{ended} did not start", where=str(self.logs / f"{ended}.log"), now="read its log")
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise Unavailable(f"{name} did not answer in {READY_WITHIN_S} s", where=str(self.logs), now="read its log")


def free_port(wanted: int) -> int:
    """`wanted`, or any free port of the loopback address for 0; raises `Unavailable` for one that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            raise Unavailable(f"port {wanted} is taken", where="127.0.0.1", now="name another, or 0 for any") from None
        port: int = probe.getsockname()[1]
        return port
