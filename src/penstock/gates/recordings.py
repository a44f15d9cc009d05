"""Recordings of a contract suite: one journal a case and version, and whether it still is what it says."""

from typing import Any

from penstock.contracts.canonical import canonical, digest
from penstock.contracts.release import Release
from penstock.contracts.suite import ContractCase
from penstock.engine.journal import Journal
from penstock.errors import Invalid
from penstock.gates.faults import suite_path
from penstock.registry.documents import Registry


def recording_path(agent: str, version: str, case: str) -> str:
    """Where the recording of a case stands."""
    return f"contract_suites/{agent}/{version}/{case}.jsonl"


def recording_header(release: Release, case: ContractCase, runtime: str) -> dict[str, Any]:
    """What a recording says of itself; nothing of time or of the machine."""
    return {
        "case": case.name,
        "agent": release.name,
        "version": release.version,
        "release": release.digest,
        "input": case.input,
        "fixtures": case.fixtures,
        "runtime": runtime,
    }


def read_recording(registry: Registry, release: Release, case: ContractCase) -> tuple[Journal | None, str]:
    """The recording of a case, or None with the reason in a few words: missing, stale or unreadable."""
    path = recording_path(release.name, release.version, case.name)
    if path not in registry.source.entries():
        return None, f"{path} is missing"
    try:
        journal = Journal.from_jsonl(registry.source.read(path), path=path)
    except Invalid as error:
        first = error.faults[0]
        return None, f"{first.path}:{first.line} cannot be read: {first.what}"
    said = {name: journal.header.get(name) for name in ("release", "input", "fixtures")}
    now = {"release": release.digest, "input": case.input, "fixtures": case.fixtures}
    stale = [name for name in now if canonical(said[name]) != canonical(now[name])]
    if stale:
        return None, f"{path} is stale: its {' and '.join(stale)} changed since"
    return journal, ""


def suite_digest(registry: Registry, agent: str, *versions: str) -> str | None:
    """The digest of the suite's file and of all recordings of these versions; None where there is neither."""
    path = suite_path(agent)
    suite = registry.source.entries().get(path)
    recorded = {
        entry.path: entry.blob for version in versions for entry in registry.recordings.get((agent, version), [])
    }
    if suite is None and not recorded:
        return None
    return digest({"suite": suite.blob if suite is not None else None, "recordings": recorded})
