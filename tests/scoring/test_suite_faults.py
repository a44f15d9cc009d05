"""Faults of eval suites, each with its place."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scoring.suite_faults import suite_faults

HEAD = """apiVersion: penstock.dev/v1
kind: EvalSuite
metadata: {name: writer}
spec:
  datasets: [products]
"""
LENGTH = """def score(case, trial, *, limit: int = 3) -> bool:
    return True

def same_arguments(tool, expected, actual):
    return True
"""
LABELLED = '{"id": "a", "input": 1, "answer": "x", "label": true}\n'
Faults = Callable[..., list[str]]


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """The faults of one suite's text below `datasets`, as `line:column: pointer: what (hint)`."""

    def found(text: str, own: str = LENGTH, head: str = HEAD) -> list[str]:
        files = {
            "evals/writer.yaml": head + text,
            "evals/scorers/length.py": own,
            "datasets/labels/cases.jsonl": LABELLED,
            "datasets/products/cases.jsonl": '{"id": "a", "input": 1}\n',
        }
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content, "utf-8")
        registry = load_registry(TreeSource(tmp_path))
        assert "writer" in registry.evals, [str(fault) for fault in registry.faults]
        return [str(fault) for fault in suite_faults(registry)]

    return found


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def scorers(*uses: str) -> str:
    return "  scorers:\n" + "".join(f"    - {use}\n" for use in uses)


JUDGE = "{scorer: judge, agent: agents/critic@1.0.0, params: {rubric: polite}, %s}"


@pytest.mark.parametrize(
    "uses",
    [
        [],
        ["{scorer: equals, atLeast: 0.9, margin: 0.05, reducer: pass^k}", "{scorer: cost, atMost: 5, margin: 0.1}"],
        ["{scorer: equals}", "{scorer: equals, name: other}", "{scorer: own/length, params: {limit: 4}}"],
        [JUDGE % "calibration: labels", "{scorer: trajectory, params: {arguments: own/length}}"],
        [
            "{scorer: fields, params: {expect: [{path: $.a, equals: 1}]}}",
            "{scorer: json-schema, params: {schema: true}}",
        ],
    ],
)
def test_right_suites_have_none(faults: Faults, uses: list[str]) -> None:
    assert faults(scorers(*uses) if uses else "") == []


@pytest.mark.parametrize(
    ("use", "place", "said"),
    [
        ("{scorer: equal}", "7:8", "spec.scorers[0].scorer: no scorer 'equal' (did you mean 'equals'?)"),
        (
            "{scorer: equals, params: {expectdPath: $}}",
            "7:33",
            "spec.scorers[0].params.expectdPath: unknown parameter 'expectdPath' (did you mean 'expectedPath'?; "
            "scorer 'equals' takes: path, expected, expectedPath, ignoreCase, ignoreSpace)",
        ),
        ("{scorer: equals, params: {path: title}}", "7:33", "params.path: path 'title' is no JSON path"),
        ("{scorer: regex, params: {pattern: '(?=a)'}}", "7:32", "params.pattern: pattern '(?=a)' is no linear-time"),
        ("{scorer: numeric, params: {absolute: -1}}", "7:34", "params.absolute: should be greater than or equal to 0"),
        ("{scorer: contains, params: {match: some}}", "7:35", "params.match: should be 'all', 'any' or 'none'"),
        ("{scorer: fields}", "7:7", "parameter 'expect' is missing (scorer 'fields' takes: expect)"),
        ("{scorer: fields, params: {expect: []}}", "7:33", "params.expect: no rule, so nothing is asked"),
        ("{scorer: fields, params: {expect: [{path: $.a}]}}", "7:42", "params.expect[0]: $.a: nothing is asked"),
        (
            "{scorer: fields, params: {expect: [{path: $.a, equal: 1}]}}",
            "7:54",
            "params.expect[0].equal: unknown parameter 'equal' (did you mean 'equals'?; known: path, equals,",
        ),
        (
            "{scorer: json-schema, params: {schema: {$schema: 'https://example.org/mine'}}}",
            "7:38",
            "params.schema: $schema 'https://example.org/mine' is neither of",
        ),
        (
            "{scorer: json-schema, params: {schema: {type: some}}}",
            "7:38",
            "params.schema: is no JSON Schema: $.type: ",
        ),
        (
            "{scorer: json-schema, params: {schema: 5}}",
            "7:38",
            "params.schema: should be a valid dictionary; or should",
        ),
        ("{scorer: trajectory, params: {expected: [5]}}", "7:37", "params.expected: call 0 is neither a tool's name"),
        ("{scorer: own/length, params: {limit: x}}", "7:37", "params.limit: should be a valid integer"),
        ("{scorer: judge, params: {rubric: polite}}", "7:8", "scorer 'judge' asks a judge (name it: `agent:"),
        ("{scorer: equals, agent: agents/critic@1.0.0}", "7:24", ".agent: scorer 'equals' asks no judge (remove it)"),
        ("{scorer: similarity, reducer: pass@k}", "7:28", "reducer: pass@k counts passes, and 'similarity' is a score"),
        ("{scorer: equals, atLeast: 90}", "7:24", "atLeast: 90 is not from 0 to 1, as its mean is"),
        ("{scorer: equals, calibration: labels}", "7:24", "cannot be measured against labelled answers"),
        (JUDGE % "calibration: products", "7:77", "no case of 'products' has an `answer` and a `label`"),
    ],
)
def test_a_fault_is_told_with_its_place(faults: Faults, use: str, place: str, said: str) -> None:
    found = only(faults(scorers(use)))
    assert found.startswith(f"evals/writer.yaml:{place}: "), found
    assert said in found


def test_words_are_counted_and_not_judged(faults: Faults) -> None:
    found = faults(
        scorers("{scorer: own/length, margin: 0.1, atLeast: 1, reducer: pass@k}"),
        own="def score(case, trial) -> str:\n    return 'a'\n",
    )
    assert [fault.split(": ")[1] for fault in found] == [
        "spec.scorers[0].margin",
        "spec.scorers[0].atLeast",
        "spec.scorers[0].reducer",
    ]


@pytest.mark.parametrize(
    "use",
    ["{scorer: own/lenght}", "{scorer: trajectory, params: {arguments: own/lenght}}", JUDGE % "calibration: label"],
)
def test_a_file_that_is_not_there_is_told_once_by_the_registry(faults: Faults, tmp_path: Path, use: str) -> None:
    assert faults(scorers(use)) == []
    told = [str(fault) for fault in load_registry(TreeSource(tmp_path)).faults]
    assert len([fault for fault in told if "evals/writer.yaml:7" in fault and "did you mean" in fault]) == 1


def test_titles_are_unique(faults: Faults) -> None:
    found = faults(
        scorers("{scorer: equals}", "{scorer: equals}", "{scorer: regex, name: equals, params: {pattern: a}}")
    )
    assert [fault.partition(": ")[0] for fault in found] == ["evals/writer.yaml:8:8", "evals/writer.yaml:9:23"]
    assert "'equals' is there twice: scorers 0 and 1" in found[0]


def test_a_broken_own_file_is_told_in_its_own_lines(faults: Faults) -> None:
    assert only(faults(scorers("{scorer: own/length}"), own="\ndef score(case, trial): ...\n")).startswith(
        "evals/scorers/length.py:2:1: `score` does not say"
    )
    broken = only(faults(scorers("{scorer: own/length}", "{scorer: own/length, name: b}"), own="def score(:\n"))
    assert broken.startswith("evals/scorers/length.py:1:")
    lacking = faults(scorers("{scorer: trajectory, params: {arguments: own/length}}"), own="x = 1\n")
    assert "defines no function `same_arguments`" in only(lacking)


ONLINE = """  online:
    share: 0.5
    scorers: [%s]
"""


@pytest.mark.parametrize(
    ("use", "title", "said"),
    [
        ("{scorer: policy}", "polic", "the suite has no scorer 'polic' (did you mean 'policy'?)"),
        ("{scorer: equals}", "equals", "'equals' reads `expected`, which a live run does not have"),
        ("{scorer: trajectory}", "trajectory", "'trajectory' reads `expected`"),
        (
            "{scorer: fields, params: {expect: [{path: $.a, expectedPath: $.b}]}}",
            "fields",
            "'fields' reads `expected`",
        ),
        (
            "{scorer: pairwise, agent: agents/critic@1.0.0, params: {rubric: a}}",
            "pairwise",
            "'pairwise' compares with production's answer",
        ),
    ],
)
def test_online_scorers_can_do_without_a_case(faults: Faults, use: str, title: str, said: str) -> None:
    found = only(faults(scorers(use) + ONLINE % title))
    assert found.startswith("evals/writer.yaml:10:15: spec.online.scorers[0]: ")
    assert said in found


@pytest.mark.parametrize(
    ("use", "title"),
    [
        ("{scorer: policy}", "policy"),
        ("{scorer: cost}", "cost"),
        ("{scorer: equals, params: {expected: 1}}", "equals"),
        ("{scorer: regex, params: {pattern: a}}", "regex"),
        ("{scorer: json-schema, params: {schema: false}}", "json-schema"),
        ("{scorer: fields, params: {expect: [{path: $.a, equals: 1}]}}", "fields"),
        (JUDGE % "name: manners", "manners"),
        ("{scorer: own/length}", "length"),
    ],
)
def test_online_scorers_that_can(faults: Faults, use: str, title: str) -> None:
    assert faults(scorers(use) + ONLINE % title) == []


def test_every_fault_is_told_at_once(faults: Faults) -> None:
    uses = ["{scorer: equal}", "{scorer: regex, params: {patern: a, match: x}, reducer: pass@k}", "{scorer: judge}"]
    assert len(faults(scorers(*uses) + ONLINE % "nobody")) == 6


def test_validate_imports_nothing_heavy() -> None:
    heavy = [
        "numpy",
        "scipy",
        "pandas",
        "statsmodels",
        "krippendorff",
        "rapidfuzz",
        "tokenizers",
        "litellm",
        "sqlalchemy",
    ]
    names = "from penstock.scoring.scorer import BUILT_IN, find_scorer\n[find_scorer(name) for name in BUILT_IN]\n"
    script = (
        f"import sys\nimport penstock.scoring.suite_faults\n{names}print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
