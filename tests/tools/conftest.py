import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.canonical import digest, digest_bytes
from penstock.contracts.release import CodeFile, ToolComponent
from penstock.pal import ToolInvocation
from penstock.tools.runner import PythonToolRunner


@dataclass
class ToolBench:
    """Tools from source, a cache, and a runner over both."""

    cache: Path
    secrets: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    runners: list[PythonToolRunner] = field(default_factory=list)

    def tool(
        self, files: str | dict[str, str], entry: str = "tool:act", params: Any = None, **spec: Any
    ) -> ToolComponent:
        """A tool whose tool.py (or whose files) is as given."""
        written = {"tool.py": files} if isinstance(files, str) else files
        code = []
        for path, text in sorted(written.items()):
            self.blobs[digest_bytes(text.encode())] = text.encode()
            code.append(CodeFile(path=path, digest=digest_bytes(text.encode())))
        open_object = {"schema": {"type": "object"}}
        implementation = {"type": "python", "entry": entry, "requires": spec.pop("requires", [])}
        document = {
            "metadata": {"name": "act", "version": "1.0.0", "owner": "qa"},
            "spec": {"input": open_object, "output": open_object, "implementation": implementation, **spec},
        }
        return ToolComponent(
            ref="tools/act@1.0.0", digest=digest(document), document=document, params=params or {}, files=code
        )

    def runner(self, **options: Any) -> PythonToolRunner:
        made = PythonToolRunner(self.cache, self.blobs.__getitem__, self.secrets, **options)
        self.runners.append(made)
        return made


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ToolBench]:
    made = ToolBench(tmp_path / "cache")
    yield made
    for runner in made.runners:
        runner.close()


@pytest.fixture
def call() -> Callable[..., ToolInvocation]:
    def make(arguments: dict[str, Any] | None = None, timeout_s: float = 30.0) -> ToolInvocation:
        return ToolInvocation("c_1", "run/c_1", time.monotonic() + timeout_s, "run", "agent", arguments or {})

    return make
