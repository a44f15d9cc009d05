"""What a person says came of a writing call of unknown outcome: checked against the tool's schema, and written down."""

from collections.abc import Callable
from typing import Any

from penstock.contracts.release import Release
from penstock.errors import NotFound
from penstock.executor.json_body import require_fit
from penstock.governance.redaction import redact
from penstock.store.database import Database
from penstock.store.unknown_outcomes import Finding, UnknownCall, UnknownOutcomes


def settle(
    database: Database, release: Callable[[str], Release], run_id: str, call_id: str | None, finding: Finding
) -> UnknownCall:
    """Lets the run go on with a result that a person found; returns the call. `release` gives a release by its digest.

    Raises `Invalid` for a result that breaks the tool's schema, `NotFound` where nothing waits for it, and
    `WrongUse` where several calls wait and none is named.
    """
    store = UnknownOutcomes(database)
    call = store.find(run_id, call_id)
    _check_result(release(call.release), call, finding.result)
    comment = redact({"comment": finding.comment}).value["comment"] if finding.comment is not None else None
    store.settle(call, Finding("made", finding.by, comment, finding.result))
    return call


def _check_result(release: Release, call: UnknownCall, result: Any) -> None:
    tool = next((one for one in release.all_tools if one.name == call.tool), None)
    if tool is None:
        raise NotFound("the release has no such tool", where=call.tool, now=f"`agentctl queue replay {call.run_id}`")
    require_fit(result, tool.spec.output.schema_, f"{tool.ref} output")
