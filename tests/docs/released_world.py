"""Makes the world `released` in a folder: `python released_world.py FOLDER`; a process of its own, for speed.

The demo's first scenes: a bare remote and three clones of it, testcase-generator 1.0.0 in prod with its live runs
stored, its 1.1.0 in dev with the evidence that canary asks for, and testplan-generator 1.0.0 merged and in dev. The
commands are the real ones, called in this one process.
"""

import asyncio
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from penstock.cli.main import main
from penstock.demo.executor_process import ExecutorProcess
from penstock.demo.stage import APPROVER, MANAGER, Person, Stage
from penstock.demo.story import FIRST_RUNS, GENERATOR, NEW, OLD, PLANNER, Story
from penstock.demo.traffic import Traffic


class OneProcess(Stage):
    """The demo's stage, whose commands do not each start a Python of their own."""

    def agentctl(self, person: Person, *words: str, expect: int = 0) -> dict[str, Any]:
        """Calls the command in the person's clone and returns its JSON document."""
        said = io.StringIO()
        with contextlib.chdir(self.clone_of(person)), contextlib.redirect_stdout(said):
            status = main([*words, "--json"])
        assert status == expect, f"agentctl {' '.join(words)} ended with {status}: {said.getvalue()}"
        document = json.loads(said.getvalue())
        return document if isinstance(document, dict) else {"items": document}


class Beginning(Story):
    """The demo's story up to the second version's evidence."""

    def play(self) -> dict[str, Any]:
        """One agent goes on to prod."""
        self._lay_down_the_project()
        log = self.stage.folder / "executor.log"
        with ExecutorProcess(self.stage.clone_of(MANAGER), self.stage.environment, log) as executor:
            self._arrive(OLD, GENERATOR, PLANNER)
            self._evaluate(f"{GENERATOR}@{OLD}")
            self._promote(f"{GENERATOR}@{OLD}", "canary", APPROVER, executor)
            traffic = Traffic(executor.url, GENERATOR)
            asyncio.run(traffic.send(self.inputs(GENERATOR, FIRST_RUNS), users="first", stage="canary"))
            self._require_no_failure(traffic)
            self._until_stored(GENERATOR, FIRST_RUNS)
            self._promote(f"{GENERATOR}@{OLD}", "prod", MANAGER, executor)
        self._arrive(NEW, GENERATOR)
        self._evaluate(f"{GENERATOR}@{NEW}")
        return {}

    def _arrive(self, version: str, *agents: str) -> None:
        self._propose(version, agents)
        self._merge(version)
        self._reconcile()


if __name__ == "__main__":
    stage = OneProcess(Path(sys.argv[1]).resolve(), quiet=True)
    os.environ.update(stage.environment)
    Beginning(stage, FIRST_RUNS).play()
