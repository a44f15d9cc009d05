"""A difference of two releases as JSON for reports; nothing of a production run stands in it unredacted."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from penstock.governance.redaction import redact
from penstock.scoring.diff.artifact import ArtifactChange
from penstock.scoring.diff.difference import PairDifference, ReleaseDifference
from penstock.scoring.diff.json_place import Place
from penstock.scoring.measured import Problem
from penstock.scoring.side_document import clipped, side_document
from penstock.scoring.trial import ToolCall, Trial

MOST_CASES = 100
MOST_BYTES = 2_000_000
MOST_CHANGES = 100
MOST_PATHS = 50
REFUSED = "refused"

Document = dict[str, Any]


def difference_document(difference: ReleaseDifference, problems: Iterable[tuple[str, Problem]] = ()) -> Document:
    """The whole difference; the pairs with the most changes first, at most `MOST_CASES` of `casesInAll`.

    Of large outputs fewer pairs are shown: together not much more than `MOST_BYTES`.
    `problems` are (side, what is missing). Raises `NotRedacted` when something of a production run cannot be redacted.
    """
    recorded = any(one.pair.source == "recorded" for one in difference.pairs)
    ordered = sorted(difference.pairs, key=_most_changed_first)
    paths = [{"path": _concealed(path, recorded), "changed": n} for path, n in difference.changed_paths[:MOST_PATHS]]
    document = difference.counts()
    document["artifact"]["byPath"] = paths
    document["cases"] = _shown_cases(ordered[:MOST_CASES])
    document["casesInAll"] = len(ordered)
    document["problems"] = [
        {"side": side, "case": one.case, "repeat": one.repeat, "what": clipped(_concealed(one.what, recorded))}
        for side, one in problems
    ]
    return document


def case_document(one: PairDifference) -> Document:
    """One pair: what differs, both sides, and what the candidate would have written."""
    pair, recorded = one.pair, one.pair.source == "recorded"
    baseline, candidate = pair.baseline, pair.candidate
    if recorded:
        baseline, candidate = _redacted_trial(baseline), _redacted_trial(candidate)
    return {
        "id": pair.case,
        "repeat": pair.repeat,
        "source": pair.source,
        "equal": one.equal,
        "difference": [_change(change, recorded) for change in one.artifact[:MOST_CHANGES]],
        "differenceInAll": len(one.artifact),
        "events": [{"op": step.op, "step": _concealed(step.step, recorded)} for step in one.steps],
        "candidate": side_document(candidate),
        "baseline": side_document(baseline),
        "refused": [
            {"tool": call.name, "arguments": clipped(call.arguments), "why": clipped(call.error)}
            for call in refused_calls(candidate)
        ],
    }


def refused_calls(trial: Trial) -> list[ToolCall]:
    """The writing calls that a shadow run did not make."""
    return [call for call in trial.calls if call.source == REFUSED]


def _shown_cases(ordered: Sequence[PairDifference]) -> list[Document]:
    shown, size = [], 0
    for one in ordered:
        if size >= MOST_BYTES:
            break
        shown.append(case_document(one))
        size += len(orjson.dumps(shown[-1]))
    return shown


def _most_changed_first(one: PairDifference) -> tuple[bool, int, int, str, int]:
    moved = sum(step.op != "equal" for step in one.steps)
    return (one.equal, -len(one.artifact), -moved, one.pair.case, one.pair.repeat)


def _change(change: ArtifactChange, recorded: bool) -> Document:
    if recorded:
        before, after = _value_at(change.place, change.before), _value_at(change.place, change.after)
        change = replace(change, before=before, after=after)
    return {**change.as_document(), "path": clipped(_concealed(change.path, recorded))}


def _concealed(text: str, recorded: bool) -> str:
    return str(redact(text).value) if recorded else text


def _value_at(place: Place, value: Any) -> Any:
    """The value redacted below its key, which tells what its digits are."""
    key = next((part for part in reversed(place) if isinstance(part, str)), "value")
    return next(iter(redact({key: value}).value.values()))


def _redacted_trial(trial: Trial) -> Trial:
    """The trial without what people may have sent; its texts are redacted before they are cut."""
    calls = [redact(call.as_document()).value for call in trial.calls]
    return replace(
        trial,
        output=redact(trial.output).value,
        failure=redact(dict(trial.failure)).value if trial.failure is not None else None,
        steps=tuple(redact(trial.steps).value),  # a model may ask for a tool of any name
        calls=tuple(
            ToolCall(call["name"], call["arguments"], call["result"], call["error"], call["source"]) for call in calls
        ),
    )
