"""Own scorers: `evals/scorers/<name>.py` with `def score(case, trial, *, ...) -> bool | float | str`.

The file is read here and never imported: its kind and its parameters stand in the annotations of its source. It runs in
a worker process with a scrubbed environment, which is killed with all that it started at a timeout or a cancel.
"""

import ast
import atexit
import functools
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from penstock.contracts.canonical import digest_bytes
from penstock.errors import Fault, Invalid, NotFound
from penstock.registry.document_faults import did_you_mean
from penstock.registry.layout import SCORERS_FOLDER, scorer_path
from penstock.registry.source import Source
from penstock.scoring.own_signature import OwnSignature, read_signature
from penstock.scoring.scorer import Scored, Scorer, ScorerFailed, find_scorer
from penstock.scoring.scorers.own_file import OWN_PREFIX

if TYPE_CHECKING:  # `validate` reads these files and runs none: what runs them is imported when it is needed
    import asyncio

    from penstock.tools.code import ToolCode
    from penstock.tools.worker_pool import WorkerPool

SCORE = "score"
SAME_ARGUMENTS = "same_arguments"
IDLE = 4
"""Most worker processes that wait for the next call."""
AT_ONCE = max(2, os.cpu_count() or 1)
"""Most worker processes of one file."""

Call = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OwnFile:
    """One file of `evals/scorers/`: its text, its digest and the functions that it defines."""

    name: str
    text: str
    digest: str
    functions: frozenset[str]
    tree: ast.Module

    @property
    def path(self) -> str:
        """Where it stands in the project."""
        return scorer_path(self.name)

    def require(self, function: str) -> None:
        """Raises `Invalid` unless the file defines the function at its top level."""
        if function not in self.functions:
            what = f"defines no function `{function}`"
            now = did_you_mean(function, self.functions) or "see docs/scorers.md"
            raise Invalid(what, where=self.path, now=now, faults=[Fault(self.path, 1, 1, "", what, now)])


def own_names(source: Source) -> list[str]:
    """The names of all files of `evals/scorers/`, sorted."""
    found = (path for path in source.entries() if path.startswith(SCORERS_FOLDER) and path.endswith(".py"))
    return sorted(path.removeprefix(SCORERS_FOLDER).removesuffix(".py") for path in found)


def read_own_file(source: Source, name: str) -> OwnFile:
    """The file of own/<name>; raises `NotFound` with the nearest one, or `Invalid` if it is no Python."""
    path = scorer_path(name)
    entry = source.entries().get(path)
    if entry is None or not entry.is_plain:
        names = [f"{OWN_PREFIX}{one}" for one in own_names(source)]
        now = did_you_mean(f"{OWN_PREFIX}{name}", names) or f"write {path}"
        raise NotFound(f"no own scorer {OWN_PREFIX}{name}", where=path, now=now)
    data = source.read(path)
    try:
        text = data.decode("utf-8")
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
        fault = Fault(path, line, column, "", f"is no Python: {getattr(error, 'msg', error)}", "mend the file")
        raise Invalid("the scorer cannot be read", where=path, now="mend the file", faults=[fault]) from None
    functions = frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    return OwnFile(name, text, digest_bytes(data), functions, tree)


def named_scorer(source: Source, name: str) -> Scorer:
    """The scorer that a suite names, built in, offered by a package, or own; raises `NotFound` or `Invalid`."""
    if not name.startswith(OWN_PREFIX):
        return find_scorer(name)
    file = read_own_file(source, name.removeprefix(OWN_PREFIX))
    return own_scorer(file, read_signature(file.tree, SCORE, file.path))


def own_scorer(file: OwnFile, signature: OwnSignature) -> Scorer:
    """The file as a scorer; a run that failed by its own doing is False, 0 or a word without asking it."""

    async def ask(scored: Scored, **parameters: Any) -> Any:
        trial = {**scored.trial.as_document(), "agent": scored.release.agent.ref}
        case = scored.case.model_dump(mode="json", by_alias=True, exclude_unset=True)
        # What the suite does not set is left to the function's own default, which was never evaluated here.
        said = {key: value for key, value in parameters.items() if value is not UNSET}
        return (await _call(file, SCORE, [{"arguments": [case, trial], "parameters": said}]))[0]

    ask.__doc__ = ast.get_docstring(file.tree)
    ask.__signature__ = signature.as_parameters(UNSET)  # type: ignore[attr-defined]
    return Scorer(f"{OWN_PREFIX}{file.name}", ask, signature.kind, 1, ())


class _Unset:
    """The suite says nothing of a parameter."""

    def __repr__(self) -> str:
        return "the function's default"


UNSET = _Unset()


class OwnFunctions:
    """The functions of a project's own files, for scorers that call them (scoring.scorer.OwnCode)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._files: dict[str, OwnFile] = {}

    def file(self, name: str) -> OwnFile:
        """The file of own/<name>, read once; raises what `read_own_file` raises."""
        if name not in self._files:
            self._files[name] = read_own_file(self._source, name)
        return self._files[name]

    async def call(self, file: str, function: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """What the function returns for each list of arguments; raises `ScorerFailed`."""
        made = self.file(file)
        made.require(function)
        return await _call(made, function, [{"arguments": list(one), "parameters": {}} for one in calls])


def own_slot(file_digest: str) -> "asyncio.Semaphore":
    """Held while a file is asked, so that a scorer's clock does not run while others keep its processes busy."""
    import asyncio

    slots = _slots.setdefault(asyncio.get_running_loop(), {})
    if file_digest not in slots:
        slots[file_digest] = asyncio.Semaphore(AT_ONCE)
    return slots[file_digest]


_slots: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]]" = WeakKeyDictionary()


async def _call(file: OwnFile, function: str, calls: Sequence[Call]) -> list[Any]:
    """One exchange with a worker that has the file loaded; a cancel kills it. Raises `ScorerFailed`."""
    import logging

    from penstock.pal import ToolFailed

    request = {
        "callId": file.name,
        "idempotencyKey": file.digest,
        "deadline": time.monotonic(),
        "params": {},
        "secrets": {},
        "arguments": {"path": file.path, "source": file.text, "function": function, "calls": list(calls)},
    }
    log = logging.getLogger("penstock.scorer")
    try:
        answer = await _pool().ask(_code(file), request, lambda line: log.info("%s: %s", file.path, line))
    except ToolFailed as error:
        raise ScorerFailed(error.what, where=file.path, now="see the scorer's code") from None
    if "raised" in answer:
        raise ScorerFailed(f"raised {answer['raised']}", where=file.path, now="see the scorer's code")
    values: list[Any] = answer["values"]
    return values


def _code(file: OwnFile) -> "ToolCode":
    """The worker's side as the code of a plain tool: one package, and so processes of its own, for each text."""
    from penstock.tools.code import ToolCode
    from penstock.tools.package import PREFIX

    package = f"{PREFIX}{file.digest.removeprefix('sha256:')}"
    return ToolCode(file.path, Path(__file__).parent, package, "scorer_worker:run", False)


@functools.cache
def _pool() -> "WorkerPool":
    """The worker processes of all own scorers; idle ones end with this process."""
    from penstock.tools.worker_pool import WorkerPool

    pool = WorkerPool(per_code=AT_ONCE, idle=IDLE)
    atexit.register(pool.close)
    return pool
