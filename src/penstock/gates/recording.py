"""Records the journals of a contract suite: each case once, against the real model and the real reading tools."""

import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from penstock.contracts.suite import ContractCase
from penstock.engine.call import RunCall
from penstock.engine.engine import Engine
from penstock.errors import Invalid, NotFound, Refused, Unavailable
from penstock.gates.faults import suite_faults, suite_path
from penstock.gates.recordings import recording_header, recording_path
from penstock.registry.documents import Registry
from penstock.registry.resolve import Resolved

# These say nothing of the release: what was seen is a fault of the moment or of the case, and is no recording.
UNRECORDABLE = frozenset({"model", "runtime", "timeout", "cancel", "fixture-missing", "replay-miss"})


def cases_to_record(registry: Registry, agent: str, names: Collection[str] = ()) -> list[ContractCase]:
    """The suite's cases, or those of these names. Raises `NotFound` or, for a broken suite, `Invalid`."""
    faults = suite_faults(registry, agent)
    if faults:
        raise Invalid("the contract suite is broken", where=suite_path(agent), now="mend the file", faults=faults)
    suite = registry.suites.get(agent)
    if suite is None:
        raise NotFound("no contract suite", where=suite_path(agent), now="write one: cases with input and expect")
    known = [case.name for case in suite.spec.cases]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise NotFound(f"no case {unknown[0]!r}", where=suite_path(agent), now=f"cases: {', '.join(known)}")
    return [case for case in suite.spec.cases if not names or case.name in names]


async def record_cases(
    engine: Engine, resolved: Resolved, cases: Sequence[ContractCase], runtime: str
) -> dict[str, bytes]:
    """Path -> bytes of each case's recording, made in mode eval.

    Recording again gives the same bytes where the model answers the same. Raises `Refused` with every case that could
    not be recorded: then none is.
    """
    release = resolved.release
    files: dict[str, bytes] = {}
    problems = []
    for case in cases:
        call = RunCall(
            release=release,
            prompt_body=resolved.blobs[release.prompt.body],
            runtime=runtime,
            input=case.input,
            mode="eval",
            fixtures=case.fixtures,
        )
        handle = engine.start(call)
        result = await handle.result_or_cancel()
        if result.failure is not None and result.failure.code in UNRECORDABLE:
            problems.append(f"{case.name}: {result.failure.what}")
            continue
        assert handle.journal is not None  # only live runs have none
        handle.journal.header = recording_header(release, case, runtime)
        files[recording_path(release.name, release.version, case.name)] = handle.journal.to_jsonl()
    if problems:
        raise Refused(
            f"{len(problems)} of {len(cases)} cases could not be recorded: {'; '.join(problems)}",
            where=f"{release.name}@{release.version}",
            now="mend them and record again; nothing was written",
        )
    return files


def write_recordings(root: Path, files: Mapping[str, bytes]) -> list[str]:
    """Writes the files below `root` and returns the paths that changed; each appears whole or not at all.

    Raises `Unavailable` when a folder cannot be written.
    """
    changed = []
    try:
        for path, data in files.items():
            place = root / path
            if place.is_file() and place.read_bytes() == data:
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            _replace(place, data)
            changed.append(path)
    except OSError as error:
        raise Unavailable(
            f"a recording cannot be written: {error.strerror}", where=str(root), now="see the folder's permissions"
        ) from None
    return changed


def _replace(place: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
