"""The demo's executor: `agentctl serve` as a process of its own on a free port."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from penstock.errors import PenstockError, Unavailable

READY_WITHIN_S = 60
DRAINED_WITHIN_S = 30


class ExecutorProcess:
    """Serves the release store of `environment` from the clone in `folder`; a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.log = log
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "ExecutorProcess":
        command = [sys.executable, "-m", "penstock.cli.main", "serve", "--insecure-dev", "--port", "0", "--json"]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.__exit__()
            raise Unavailable("the executor did not start", where=str(self.log), now="read its log")
        self.url = json.loads(line)["url"]
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(DRAINED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def wait_live(self, generation: int) -> float:
        """Waits until the executor serves that generation of the routing table; returns the seconds it took."""
        begun = time.monotonic()
        with httpx.Client(base_url=self.url, timeout=5, trust_env=False) as client:
            while time.monotonic() - begun < READY_WITHIN_S:
                ready = client.get("/readyz")
                if ready.status_code == 200 and ready.json()["generation"] >= generation:
                    return time.monotonic() - begun
                time.sleep(0.02)
        raise PenstockError(
            f"the executor did not serve generation {generation} within {READY_WITHIN_S} s",
            where=str(self.log),
            now="read its log",
        )
