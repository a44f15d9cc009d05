"""The report as the note of a merge request: the verdict, then what a reviewer asks next; Markdown, 60 KB at most."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from penstock.reporting import figures
from penstock.reporting.artifact import ShownArtifact, shown_artifacts
from penstock.reporting.difference import DifferenceShown
from penstock.reporting.drawing import EXTRA
from penstock.reporting.evaluation import EvaluationShown, Flip, ScorerRow
from penstock.reporting.gate_facts import GateFacts, gate_facts
from penstock.reporting.markdown import MARKS, code, escape, table
from penstock.reporting.report import Report
from penstock.reporting.side import Ratio
from penstock.reporting.unmeasured import unmeasured
from penstock.reporting.visible_text import one_line

MOST_BYTES = 60_000
FLIPS = 5
ROWS = 30


def as_note(report: Report, *, has_page: bool = True) -> str:
    """The whole note; where there is no page beside it, it says how to get one."""
    document, gates = report.document, gate_facts(report.document)
    parts = [_head(document), _gates(document)]
    parts += [part for gate in gates if gate.evaluation is not None for part in _evaluation(gate.evaluation)]
    parts += [_difference(gate.name, gate.difference) for gate in gates if gate.difference is not None]
    parts.append(_unmeasured(gates))
    details = [part for gate in gates for part in _details(gate)]
    ends = [_what(document), _people(document), _page(report, has_page=has_page)]
    return _fitted([part for part in parts if part], details, [part for part in ends if part])


def _fitted(parts: list[str], details: list[str], ends: list[str]) -> str:
    """Verdict and digests always; details while there is room, and a word on those that are left out."""
    said = "\n\n".join([*parts, *ends]) + "\n"
    if len(said.encode()) > MOST_BYTES - 200:  # thousands of gates: the verdict is what must be read
        kept = parts[0].encode()[: MOST_BYTES - 200].decode("utf-8", "ignore")
        return f"{kept}\n\nThe rest is too long for a note: see report.json.\n"
    room = MOST_BYTES - len(said.encode()) - 200
    shown: list[str] = []
    for part in details:
        size = len(part.encode()) + 2
        if size <= room:
            shown.append(part)
            room -= size
    left = len(details) - len(shown)
    cut = [f"{figures.count(left, 'artifact')} too long for a note: see report.json."] if left else []
    return "\n\n".join([*parts, *shown, *cut, *ends]) + "\n"


def _head(document: Mapping[str, Any]) -> str:
    title = f"# {escape(document['agent'])}@{escape(document['version'])} before {escape(document['stage'])}"
    verdict = f"**{MARKS[document['verdict']]} {document['verdict']}**: {escape(document['sentence'], 1_000)}"
    if document["draft"]:
        draft = f"> **draft: does not count.** Made of {escape(document['source'])}, not of the base branch."
        return f"{title}\n\n{draft}\n\n{verdict}"
    return f"{title}\n\n{verdict}\n\nEvidence `{document['evidence']}`: what an approval binds to."


def _gates(document: Mapping[str, Any]) -> str:
    if not document["gates"]:
        return f"No gate stands before {escape(document['stage'])}."
    rows = [
        [
            escape(gate["gate"]),
            f"{MARKS[gate['outcome']]} {gate['outcome']}",
            escape(gate["reason"]),
            _value(gate["measured"]),
            _value(gate["limit"]),
        ]
        for gate in document["gates"]
    ]
    return "## Gates\n\n" + table(["gate", "outcome", "why", "measured", "limit"], rows)


def _evaluation(shown: EvaluationShown) -> Iterator[str]:
    """Scorers against production, cost and latency, the worst flips."""
    columns = ["scorer", "candidate", "production", "difference", "won, lost", "asked", "verdict"]
    yield "## Against production\n\n" + table(columns, [_scorer(row) for row in shown.scorers[:ROWS]])
    yield _expense(shown)
    if shown.flips:
        count = shown.flips_in_all if shown.flips_in_all is not None else len(shown.flips)
        more = f", the first {FLIPS}" if count > FLIPS else ""
        lines = [f"## {figures.count(count, 'case')} flipped{more}", "", *map(_flip, shown.flips[:FLIPS])]
        yield "\n".join(lines)


def _scorer(row: ScorerRow) -> list[str]:
    compared = row.comparison
    difference = ""
    if compared is not None and compared.ratio is not None:
        difference = (
            f"{figures.ratio(compared.ratio)} {figures.interval(compared.lower, compared.upper, figures.ratio)}"
        )
    elif compared is not None:
        bounds = figures.interval(compared.lower, compared.upper, figures.signed)
        difference = f"{figures.signed(compared.difference)} {bounds}"
    labels = ", ".join(f"{word} {n}" for word, n in sorted((row.labels or {}).items()))
    own = figures.interval(*row.interval) if row.interval is not None else ""
    return [
        escape(row.title, 80),
        escape(labels or f"{figures.number(row.mean)} {own}".strip()),
        escape(figures.number(row.baseline_mean) if row.baseline_mean is not None else ""),
        escape(difference),
        "" if compared is None or compared.wins is None else f"{compared.wins}, {compared.losses}",
        escape(row.limit.words),
        f"{MARKS.get(row.outcome, '')} {escape(row.outcome, 20)}".strip(),
    ]


def _expense(shown: EvaluationShown) -> str:
    cost, latency = shown.cost, shown.latency
    lines = []
    if cost.candidate_usd is not None:
        line = f"cost of all runs {figures.usd(cost.candidate_usd)}"
        lines.append(line + _beside(cost.baseline_usd, cost.ratio, figures.usd))
    if latency.candidate_p50_ms is not None:
        p95 = figures.milliseconds(latency.candidate_p95_ms)
        line = f"duration p50 {figures.milliseconds(latency.candidate_p50_ms)}, p95 {p95}"
        lines.append(line + _beside(latency.baseline_p50_ms, latency.ratio, figures.milliseconds))
    return "\n".join(f"- {escape(line)}" for line in lines)


def _beside(before: float | None, ratio: Ratio | None, text: Callable[[float | None], str]) -> str:
    if before is None:
        return ""
    bounds = "" if ratio is None else f" {figures.interval(ratio.lower, ratio.upper, figures.ratio)}"
    factor = "" if ratio is None else f", {figures.ratio(ratio.value)}{bounds} a case"
    return f"; production {text(before)}{factor}"


def _flip(flip: Flip) -> str:
    first = flip.difference[0] if flip.difference else None
    changed = ""
    if first is not None:
        before = "not there" if first.kind == "added" else one_line(first.before, 80)
        after = "not there" if first.kind == "removed" else one_line(first.after, 80)
        changed = f"; {first.path}: {before} → {after}"
    arrow = "▼" if flip.direction == "worse" else "▲"
    return f"- {arrow} **{escape(flip.id, 120)}** by {escape(flip.scorer, 60)}: {escape(flip.reason + changed, 400)}"


def _difference(gate: str, shown: DifferenceShown) -> str:
    of = shown.artifact, shown.events
    lines = [
        f"## {escape(gate)}",
        "",
        f"- outputs changed: {of[0].changed} of {of[0].changed + of[0].equal}",
        f"- event sequences changed: {of[1].changed} of {of[1].changed + of[1].equal}{_floor(shown)}",
    ]
    if shown.side_effects is not None:
        lines.append(
            f"- calls refused: {shown.side_effects.refused}; calls that wrote: {shown.side_effects.called_write}"
        )
    paths = ", ".join(f"{one.path} ({one.changed})" for one in shown.artifact.by_path[:FLIPS])
    return "\n".join([*lines, *([f"- most at {escape(paths)}"] if paths else [])])


def _floor(shown: DifferenceShown) -> str:
    floor = shown.events.noise_floor
    return "" if floor is None else escape(f"; production differs from itself in {figures.percent(floor.share)}")


def _unmeasured(gates: Sequence[GateFacts]) -> str:
    found = unmeasured(gates)
    if not found:
        return ""
    rows = [[escape(one.gate, 60), escape(one.about, 120), escape(one.why, 200)] for one in found[:ROWS]]
    more = f"\n\n{figures.count(len(found) - ROWS, 'line')} more: see report.json." if len(found) > ROWS else ""
    return "## Not measured\n\n" + table(["gate", "what", "why"], rows) + more


def _details(gate: GateFacts) -> Iterator[str]:
    """What a reader needs of a gate beyond its line: all faults, sequences, logs; each may be too long for the note."""
    for one in shown_artifacts(gate.other_artifacts):
        title = f"{escape(gate.name)}: {escape(one.name)}"
        yield f"<details><summary>{title}</summary>\n\n{code(_text(one))}\n\n</details>"


def _text(artifact: ShownArtifact) -> str:
    if artifact.table is None:
        return artifact.text
    lines = [
        "\n".join(
            f"{'- ' if n == 0 else '  '}{column}: {(cell.whole or cell.text).strip()}"
            for n, (column, cell) in enumerate(zip(artifact.table.columns, row, strict=True))
            if cell.text
        )
        for row in artifact.table.rows
    ]
    return "\n".join(lines)


def _what(document: Mapping[str, Any]) -> str:
    baseline = document["baseline"]
    served = (
        "none: prod serves no version" if baseline is None else f"{escape(baseline['version'])} `{baseline['digest']}`"
    )
    lines = [
        "## What was judged",
        "",
        f"- release `{document['release']['digest']}`",
        f"- source {escape(document['source'])}",
        f"- baseline {served}",
        *(f"- suite `{suite}`" for suite in document["suites"]),
        *(f"- dataset `{dataset}`" for dataset in document["datasets"]),
    ]
    closure = [
        [
            escape(line["ref"]),
            f"`{line['digest']}`",
            f"{line['files']} files, `{line['code']}`" if line.get("files") else "",
        ]
        for line in document["release"]["closure"]
    ]
    return "\n".join(lines) + "\n\n" + table(["document", "digest", "code"], closure)


def _people(document: Mapping[str, Any]) -> str:
    authors = ", ".join(escape(author) for author in document["authors"]) or "not known"
    lines = ["## People", "", f"- authors: {authors}", *(_approval(approval) for approval in document["approvals"])]
    if not document["approvals"] and not document["draft"]:
        lines.append("- no approval so far")
    return "\n".join(lines)


def _approval(approval: Mapping[str, Any]) -> str:
    who = f"{escape(approval['name'])} {escape(approval['who'])} ({escape(approval['identifiedBy'])})"
    when = f"at {escape(approval['at'])} until {escape(approval['expiresAt'])}"
    return f"- {approval['kind']} for {approval['stage']} by {who} {when}: {escape(approval['comment'])}"


def _page(report: Report, *, has_page: bool) -> str:
    if has_page:
        return f"The whole report is `reports/{report.folder}/report.html`."
    return f"There is no report.html: it needs the template engine jinja2. `{EXTRA}` brings it."


def _value(value: Any) -> str:
    return escape(", ".join(f"{name} {text}".strip() for name, text in figures.pairs(value)))
