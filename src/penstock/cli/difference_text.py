"""A difference of two versions for people: lines for a terminal, Markdown for a merge request."""

from collections.abc import Mapping
from typing import Any

import orjson

from penstock.reporting.markdown import escape

SHOWN_MISSING = 20
SHOWN_CASES = 5
SHOWN_CHANGES = 5
SHOWN_PATHS = 8
LONGEST = 100

Document = Mapping[str, Any]


def difference_lines(found: Document) -> list[str]:
    """The artifacts of the gate `diff` or `shadow` as lines: what changed in all, then case by case."""
    if "pairs" not in found:
        return []
    lines = [f"  {name}: {text}" for name, text in _figures(found)]
    lines += [f"    {one['path']}: in {one['changed']}" for one in found["artifact"]["byPath"][:SHOWN_PATHS]]
    changed = [case for case in found["cases"] if not case["equal"]]
    for case in changed[:SHOWN_CASES]:
        lines += _case_lines(case)
    more = found["casesInAll"] - sum(case["equal"] for case in found["cases"]) - len(changed[:SHOWN_CASES])
    lines += [f"  and {more} more that changed" for _ in range(more > 0)]
    missing = found["problems"]
    lines += [f"  missing: {one['side']} {one['case']}: {one['what']}" for one in missing[:SHOWN_MISSING]]
    more = len(missing) - SHOWN_MISSING
    lines += [f"  and {more} more missing: --json names them all" for _ in range(more > 0)]
    return lines


def difference_markdown(title: str, outcome: str, reason: str, found: Document) -> str:
    """The same as Markdown; what models and tools said is escaped."""
    lines = [f"### {escape(title)}: {outcome}", "", escape(reason, 1_000), ""]
    if "pairs" in found:
        lines += ["| | |", "|---|---|"]
        lines += [f"| {name} | {escape(text)} |" for name, text in _figures(found)]
        changed = [case for case in found["cases"] if not case["equal"]][:SHOWN_CASES]
        if changed:
            lines += ["", "| case | place | before | after |", "|---|---|---|---|"]
        for case in changed:
            lines += _case_rows(case)
    missing = found.get("problems", [])
    lines += [
        "",
        *(
            f"- missing: {escape(one['side'])} {escape(one['case'])}: {escape(one['what'])}"
            for one in missing[:SHOWN_MISSING]
        ),
    ]
    lines += [f"- and {len(missing) - SHOWN_MISSING} more missing" for _ in range(len(missing) > SHOWN_MISSING)]
    return "\n".join(lines).rstrip() + "\n"


def _figures(found: Document) -> list[tuple[str, str]]:
    artifact, events, cost, slo = found["artifact"], found["events"], found["cost"], found["slo"]
    steps = f"; {events['moved']} steps moved, {events['missing']} missing, {events['added']} added"
    figures = [
        ("artifacts", _changed(artifact)),
        ("events", _changed(events) + steps),
        ("cost", f"{_both((cost['baselineUsd'], cost['candidateUsd']), '{:.4g}')} USD{_ratio(cost['ratio'])}"),
        ("tokens", f"in {_both(cost['promptTokens'], '{:d}')}, out {_both(cost['completionTokens'], '{:d}')}"),
        ("success", _both(slo["successRate"], "{:.1%}")),
        ("latency", f"p50 {_both(slo['p50Ms'], '{:.0f}')} ms, p95 {_both(slo['p95Ms'], '{:.0f}')} ms"),
        ("first token", f"p50 {_both(slo['ttftP50Ms'], '{:.0f}')} ms"),
    ]
    if "sideEffects" in found:
        done, source = found["sideEffects"], found["source"]
        called = f"{done['calledWrite']} writing and {done['calledRead']} other calls made"
        figures.append(("tools", f"{called}, {done['fromJournal']} from the journal, {done['refused']} refused"))
        figures.append(("inputs", f"{source['recorded']} recorded runs, {source['dataset']} cases of datasets"))
    return figures


def _changed(part: Document) -> str:
    floor = part["noiseFloor"]
    told = f"{part['equal']} equal, {part['changed']} changed"
    share = f" ({part['share']:.1%})" if part["share"] is not None else ""
    if floor is None:
        return f"{told}{share}"
    return f"{told}{share}; prod against itself {floor['share']:.1%} ({floor['lower']:.1%} to {floor['upper']:.1%})"


def _both(values: Any, form: str) -> str:
    before, after = ("unknown" if value is None else form.format(value) for value in values)
    return f"{before} -> {after}"


def _ratio(ratio: Document | None) -> str:
    if ratio is None:
        return ""
    upper = "any" if ratio["upper"] is None else f"{ratio['upper']:.3f}"
    return f", {ratio['value']:.3f} times ({ratio['lower']:.3f} to {upper}, {ratio['n']} cases)"


def _case_lines(case: Document) -> list[str]:
    moves = [f"{event['op']} {event['step']}" for event in case["events"] if event["op"] != "equal"]
    lines = [f"  {case['id']}{_status(case)}"]
    lines += [f"    {_change(change)}" for change in case["difference"][:SHOWN_CHANGES]]
    more = case["differenceInAll"] - SHOWN_CHANGES
    lines += [f"    and {more} more places" for _ in range(more > 0)]
    lines += [f"    events: {', '.join(moves)}" for _ in range(bool(moves))]
    return lines + [f"    refused: {one['tool']} {_short(one['arguments'])}" for one in case["refused"]]


def _case_rows(case: Document) -> list[str]:
    rows = [
        f"| {escape(case['id'])} | {escape(change['path'])} | {escape(_short(change['before']))} "
        f"| {escape(_short(change['after']))} |"
        for change in case["difference"][:SHOWN_CHANGES]
    ]
    moves = [f"{event['op']} {event['step']}" for event in case["events"] if event["op"] != "equal"]
    return rows + [f"| {escape(case['id'])} | events | | {escape(', '.join(moves))} |" for _ in range(bool(moves))]


def _status(case: Document) -> str:
    before, after = case["baseline"]["status"], case["candidate"]["status"]
    return "" if before == after else f" ({before} -> {after})"


def _change(change: Document) -> str:
    if change["kind"] == "added":
        return f"{change['path']} added: {_short(change['after'])}"
    if change["kind"] == "removed":
        return f"{change['path']} removed: {_short(change['before'])}"
    return f"{change['path']}: {_short(change['before'])} -> {_short(change['after'])}"


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
