"""Ledger lines for people: in `agentctl budget ledger`, and below a run that a budget refused."""

from collections.abc import Mapping
from typing import Any


def ledger_line(line: Mapping[str, Any]) -> str:
    """One line, or the sums of an account."""
    if line["kind"] == "sum":
        return _sums(line)
    amount = "      unknown" if line["amountUsd"] is None else f"{line['amountUsd']:13.6f}"
    marks = " estimated" if line["estimated"] else ""
    about = line.get("runId") or line.get("reason") or ""
    by = f" by {line['who']}" if line.get("who") and line["kind"] == "correction" else ""
    return f"{line['at'][:19]}Z {amount} USD{marks}  {line['kind']} {about}{by}".rstrip()


def _sums(sums: Mapping[str, Any]) -> str:
    estimated = f", {sums['estimatedUsd']:.6f} of it estimated" if sums["estimatedUsd"] else ""
    unpriced = f", {sums['unpricedCalls']} calls of unknown price" if sums["unpricedCalls"] else ""
    whose = f"{sums['holder']} {sums['period']}: " if "holder" in sums else ""
    limit = f" of {sums['limitUsd']:.6f}" if "limitUsd" in sums else ""
    return f"{whose}{sums['spentUsd']:.6f}{limit} USD in {sums['lines']} lines{estimated}{unpriced}"
