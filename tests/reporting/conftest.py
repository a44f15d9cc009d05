"""A world of facts for reports, made by code: every gate, at any size, with what friendly or hostile models said."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.evidence import Approval, Evidence
from penstock.contracts.gate_result import GateResult
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.gates.evidence import EvidenceView, StandingGate
from penstock.reporting.report import Report, build_report

Artifacts = dict[str, Any]
TAGS = ["short", "long", "german", "limits", "prohibition"]


def digest_of(word: str) -> str:
    return digest_bytes(word.encode())


def release(version: str) -> Release:
    def part(kind: str, ref: str, content: str = "1", **fields: Any) -> dict[str, Any]:
        name, _, number = ref.partition("/")[2].partition("@")
        metadata = {"name": name, "version": number, "owner": "qa-platform"}
        document = {"apiVersion": "penstock.dev/v1", "kind": kind, "metadata": metadata, "spec": {}}
        return {"ref": ref, "digest": digest_of(ref + content), "document": document, **fields}

    tool_files = [{"path": "tool.py", "digest": digest_of("tool.py")}]
    tool = part("Tool", "tools/requirement-search@1.0.0", params={"limit": 5}, files=tool_files)
    return Release.model_validate(
        {
            "agent": part("Agent", f"agents/testcase-generator@{version}"),
            "prompt": part("Prompt", f"prompts/testcase-generator@{version}", body=digest_of(version)),
            "tools": [tool],
            "policies": [part("Policy", "policies/default@1.0.0")],
            "models": [part("Model", "models/standard@1.0.0")],
            "minEngine": "0.1.0",
        }
    )


def side(n: int, *, worse: bool, said: str) -> dict[str, Any]:
    """One trial of a case: three test cases, or two and one search less where it is worse."""
    searches = [{"query": f"requirement {n}"}, {"query": f"limits of requirement {n}"}][: 1 if worse else 2]
    titles = [f"Accepts a value of {n}", f"Refuses a value above {n + 10}", f"{said}"][: 2 if worse else 3]
    return {
        "release": digest_of("worse" if worse else "same"),
        "runId": f"0193{n:028x}",
        "runtime": "langgraph",
        "status": "finished",
        "output": {"testCases": [{"title": title, "steps": ["open", "enter", "save"]} for title in titles]},
        "failure": None,
        "calls": [
            {"name": "requirement-search", "arguments": one, "result": {"hits": [said]}, "error": None}
            for one in searches
        ],
        "steps": ["llm.finished", "tool.finished:requirement-search", "llm.finished"],
        "costUsd": 0.0012,
        "durationMs": 1200.0 + n,
        "ttftMs": 210.0,
        "promptTokens": 900,
        "completionTokens": 220,
    }


def flip(n: int, *, worse: bool, said: str) -> dict[str, Any]:
    return {
        "id": f"case-{n:04d}",
        "scorer": "covers-limits",
        "direction": "worse" if worse else "better",
        "tags": [TAGS[n % len(TAGS)]],
        "input": {"requirement": f"The system shall store the value {n}. {said}", "product": "Shop"},
        "expected": {"testCases": 3},
        "reason": f"no test case of the upper limit: {said}",
        "candidate": side(n, worse=worse, said=said),
        "baseline": side(n, worse=not worse, said=said),
        "difference": [
            {"path": "$.testCases[2]", "kind": "removed", "before": {"title": said}, "after": None},
            {"path": "$.testCases[0].title", "kind": "changed", "before": f"Accepts {n}", "after": f"Takes {n}"},
        ],
    }


def compared(difference: float, half: float, margin: float | None, losses: int, wins: int, ties: int) -> dict[str, Any]:
    return {
        "method": "tango",
        "units": losses + wins + ties,
        "difference": difference,
        "lower": difference - half,
        "upper": difference + half,
        "pValue": 0.012,
        "wins": wins,
        "losses": losses,
        "ties": ties,
        "margin": margin,
        "alpha": 0.05,
        "minimumDetectableLoss": 0.047,
        "outcome": "passed",
        "reason": "the loss is below the margin",
        "informing": {"mcnemarExact": 0.38, "t": 0.4},
        "early": False,
    }


def scorers(cases: int, outcome: str, said: str) -> list[dict[str, Any]]:
    losses, wins = cases // 40, cases // 50
    ties = cases - losses - wins

    def row(title: str, kind: str, mean: float | None, before: float | None, **fields: Any) -> dict[str, Any]:
        limit = {"atLeast": None, "atMost": None, "margin": None, **fields.pop("limit", {})}
        return {
            "title": title,
            "scorer": title,
            "kind": kind,
            "digest": digest_of(title),
            "reducer": "mean",
            "n": cases,
            "mean": mean,
            "interval": None,
            "baselineMean": before,
            "limit": limit,
            "outcome": "passed",
            "reason": "",
            "comparison": None,
            "labels": None,
            "judge": None,
            "calibration": None,
            **fields,
        }

    judge = {"ref": "agents/quality-judge@1.0.0", "release": digest_of("judge"), "model": "models/judge@1.0.0"}
    agreement = {"statistic": "alpha", "value": 0.81, "lower": 0.72, "upper": 0.88, "n": 120, "dataset": "judge-labels"}
    cost = {"method": "log-ratio", "units": cases, "ratio": 1.04, "lower": 1.01, "upper": 1.07, "maxRise": 0.1}
    return [
        row(
            "covers-limits",
            "assertion",
            0.912,
            0.925,
            interval=[0.893, 0.928],
            limit={"atLeast": 0.85, "margin": 0.05},
            comparison=compared(-0.013, 0.018, 0.05, losses, wins, ties),
            outcome=outcome,
            reason=said if outcome != "passed" else "0.912 is at least 0.85, and the loss is below the margin",
        ),
        row(
            "quality",
            "score",
            0.842,
            0.831,
            limit={"margin": 0.1},
            comparison={**compared(0.011, 0.03, 0.1, losses, wins, ties), "method": "betting"},
            judge=judge,
            calibration=agreement,
        ),
        row("tone", "label", None, None, labels={"neutral": cases - 7, "curt": 7}, outcome="informs"),
        row("cost", "measure", 0.0012, 0.00115, limit={"margin": 0.1}, comparison=cost),
        row("unsupported", "score", None, None, n=0, outcome="errored", reason="the judge gave no answer"),
    ]


def case(n: int, chance: random.Random, worse: set[int], said: str) -> dict[str, Any]:
    score = round(min(1.0, max(0.0, chance.gauss(0.84, 0.09))), 3)
    duration = chance.lognormvariate(7.0, 0.35)
    return {
        "id": f"case-{n:04d}" if n else f"case-0000 {said}"[:200],
        "cluster": f"document-{n // 8}",
        "tags": [TAGS[n % len(TAGS)]],
        "status": "errored" if n == 8 else "finished",
        "candidate": {} if n == 8 else {"covers-limits": float(n not in worse), "quality": score, "cost": 0.0012},
        "baseline": {"covers-limits": 1.0, "quality": round(score - 0.01 * (n % 3), 3), "cost": 0.00115},
        "costUsd": chance.lognormvariate(-6.7, 0.2),
        "durationMs": duration,
        "baselineCostUsd": chance.lognormvariate(-6.74, 0.2),
        "baselineDurationMs": duration * chance.lognormvariate(0.0, 0.1),
    }


def evaluation(cases: int, flips: int, outcome: str, said: str) -> Artifacts:
    chance = random.Random(7)
    worse = set(range(1, 1 + 2 * flips, 2))
    ratio = {"value": 1.04, "lower": 1.01, "upper": 1.07, "n": cases}
    checks = [
        {"expectation": "ids are unique", "column": "id", "outcome": "passed", "observed": cases, "limit": cases},
        {"expectation": "no personal data", "column": "input", "outcome": "passed", "observed": 0, "limit": 0},
        {
            "expectation": "distribution as before",
            "column": "input.product",
            "outcome": "not judged",
            "observed": "the first version of the dataset",
            "limit": None,
        },
    ]
    return {
        "scorers": scorers(cases, outcome, said),
        "cases": [case(n, chance, worse, said) for n in range(cases)],
        "flips": [flip(2 * n + 1, worse=n < flips - 1 or flips == 1, said=said) for n in range(flips)],
        "flipsInAll": flips,
        "slices": [
            {"tag": tag, "scorer": "covers-limits", "n": 40 + n, "difference": -0.01 * n, "pValue": 0.2, "pHolm": 0.9}
            for n, tag in enumerate(TAGS)
        ],
        "problems": [{"side": "candidate", "case": "case-0008", "repeat": 1, "what": f"429 after 5 tries: {said}"}],
        "datasets": [
            {
                "name": "requirements-v2",
                "digest": digest_of("dataset"),
                "cases": cases + 50,
                "chosen": cases,
                "passed": True,
                "checks": checks,
            }
        ],
        "cost": {"candidateUsd": 1.27, "baselineUsd": 1.22, "ratio": ratio},
        "latency": {
            "candidateP50Ms": 1130.0,
            "candidateP95Ms": 1980.0,
            "baselineP50Ms": 1105.0,
            "baselineP95Ms": 1910.0,
            "ratio": ratio,
        },
        "noiseFloor": None,
        "run": {
            "repeats": 3,
            "trials": cases * 6,
            "made": cases * 6 - 40,
            "reused": 40,
            "seconds": 214.2,
            "costUsd": 2.53,
            "stopped": None,
        },
    }


def difference(pairs: int, said: str, *, shadow: bool) -> Artifacts:
    refused = [{"tool": "ticket-writer", "arguments": {"title": said}, "why": "a shadow run writes nothing"}]
    cases = [
        {
            "id": f"run-{n:03d}",
            "source": "recorded" if shadow else "dataset",
            "equal": n % 5 > 0,
            "difference": []
            if n % 5
            else [{"path": "$.testCases[1].title", "kind": "changed", "before": "Refuses", "after": said}],
            "events": [
                {"op": "equal", "step": "llm.finished"},
                {"op": "missing" if n % 2 else "moved", "step": "tool.finished:requirement-search"},
            ],
            "candidate": side(n, worse=True, said=said),
            "baseline": side(n, worse=False, said=said),
            "refused": refused if shadow and n == 5 else [],
        }
        for n in range(pairs)
    ]
    changed = sum(not one["equal"] for one in cases)
    found: Artifacts = {
        "pairs": pairs,
        "artifact": {
            "equal": pairs - changed,
            "changed": changed,
            "share": changed / pairs,
            "byPath": [{"path": "$.testCases[1].title", "changed": changed}],
        },
        "events": {
            "equal": pairs - 6,
            "changed": 6,
            "share": 6 / pairs,
            "noiseFloor": {"share": 0.09, "lower": 0.04, "upper": 0.19, "pairs": pairs},
            "moved": 4,
            "missing": 2,
            "added": 0,
        },
        "cost": {
            "baselineUsd": 0.061,
            "candidateUsd": 0.064,
            "ratio": {"value": 1.05, "lower": 0.99, "upper": 1.11},
            "promptTokens": [45_210, 46_100],
            "completionTokens": [11_004, 11_310],
        },
        "slo": {
            "successRate": [0.99, 1.0],
            "p50Ms": [1105.0, 1131.0],
            "p95Ms": [1910.0, 1985.0],
            "ttftP50Ms": [205.0, 210.0],
        },
        "cases": cases,
        "problems": [],
    }
    if shadow:
        found["source"] = {"recorded": pairs - 4, "dataset": 4, "window": {"since": "2026-11-13T00:00:00.000000Z"}}
        found["sideEffects"] = {"refused": 1, "fromJournal": 61, "calledRead": 12, "calledWrite": 0}
    return found


def result(gate: str, outcome: Any, reason: str, artifacts: Artifacts, **fields: Any) -> GateResult:
    return GateResult(
        gate=gate,
        outcome=outcome,
        reason=reason,
        release=release("1.2.0").digest,
        baseline=release("1.1.0").digest,
        started_at="2026-11-20T10:00:00.000000Z",
        finished_at="2026-11-20T10:03:34.200000Z",
        inputs={"gate": gate},
        origin="released",
        artifacts=artifacts,
        **fields,
    ).sealed()


def results(cases: int, flips: int, outcome: str, said: str) -> list[GateResult]:
    tools = [{"tool": "tools/requirement-search@1.0.0", "tests": 5, "failures": [], "problem": "", "log": "5 passed"}]
    replayed = [
        {
            "case": name,
            "faults": [],
            "sequence": ["run.started", "llm.started:standard", "llm.finished:standard", "run.finished"],
            "changedAgainstBaseline": [],
            "runtimes": ["direct", "langgraph"],
        }
        for name in ("plain-sentence", "number-with-limit", "prohibition")
    ]
    reason = "covers-limits: 0.912 is not at least 0.95" if outcome == "failed" else "4 scorers hold on all cases"
    measured = {"cases": cases, "trials": cases * 6, "problems": 1, "costUsd": 2.53}
    judged = evaluation(cases, flips, outcome, said)
    return [
        result("schema", "passed", "22 files hold, 6 of them changed", {"faults": []}, measured={"files": 22}),
        result("unit", "passed", "5 tests of 1 tool passed", {"tools": tools}, measured={"tools": 1, "tests": 5}),
        result("contract", "passed", "3 cases hold on direct and langgraph", {"cases": replayed}),
        result("model", "passed", "6 cases hold", {"cases": [{"case": "stream", "outcome": "passed", "what": said}]}),
        result("shadow", "passed", "50 pairs, no side effect", difference(50, said, shadow=True)),
        result("diff", "passed", "10 of 50 outputs changed", difference(50, said, shadow=False)),
        result(
            "eval",
            outcome,
            reason,
            judged,
            measured=measured,
            limit={"covers-limits": {"atLeast": 0.85, "margin": 0.05}},
            suite=digest_of("suite"),
            dataset=digest_of("dataset"),
        ),
    ]


def approval(comment: str) -> Approval:
    return Approval(
        kind="approve",
        evidence=digest_of("evidence"),
        release=release("1.2.0").digest,
        stage="canary",
        who="grace@example.org",
        name="Grace Hopper",
        at="2026-11-20T11:00:00.000000Z",
        expires_at="2026-11-27T11:00:00.000000Z",
        comment=comment,
    )


MakeReport = Callable[..., Report]


@pytest.fixture(scope="session")
def make_report() -> MakeReport:
    """A report on testcase-generator@1.2.0 by every gate; `said` is what all models, tools and people say."""

    def make(
        *,
        cases: int = 200,
        flips: int = 6,
        outcome: str = "passed",
        said: str = "Refuses an empty value",
        draft: bool = False,
        stage: Stage = "canary",
    ) -> Report:
        found = results(cases, flips, "passed" if outcome == "missing" else outcome, said)
        gates = [StandingGate("dev" if n < 4 else "canary", one.gate, {}, one) for n, one in enumerate(found)]
        gates.append(StandingGate("canary", "slices", {}, None, "it has not run", may_skip=True))
        ids = sorted(one.id for one in found)
        evidence = Evidence(release=release("1.2.0").digest, baseline=release("1.1.0").digest, stage=stage, results=ids)
        kept = gates if outcome == "missing" else gates[:-1]
        return build_report(
            EvidenceView("testcase-generator", "1.2.0", stage, tuple(kept), evidence, draft),
            release("1.2.0"),
            source="commit 87b33457895f of main",
            baseline=release("1.1.0"),
            authors=["ada@example.org"],
            approvals=[approval(f"read it: {said}")],
        )

    return make
