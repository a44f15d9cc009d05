"""json-schema: both drafts, references to given documents alone, and the official suite."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from penstock.scoring.scorer import Score, ScorerFailed, find_scorer
from penstock.scoring.scorers.json_schema import Draft, json_schema
from penstock.testing.example_trial import example_scored

Judge = Callable[..., Awaitable[Score]]
NUMBER = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
SEVEN = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    ("output", "params", "verdict"),
    [
        ({"n": 1}, {"schema": NUMBER}, True),
        ({"n": "1"}, {"schema": NUMBER}, False),
        ({}, {"schema": NUMBER}, False),
        ([{"n": 1}, {"n": 2}], {"schema": NUMBER, "path": "$[*]"}, True),
        ([{"n": 1}, {}], {"schema": NUMBER, "path": "$[*]"}, False),
        ([], {"schema": NUMBER, "path": "$[*]"}, False),
        ({}, {"schema": {}, "path": "$.a"}, False),
        ([1], {"schema": {"type": "array"}}, True),
        ("anything", {"schema": True}, True),
        ("anything", {"schema": False}, False),
        # prefixItems is of 2020-12, a list of `items` of draft 7
        ([1, "x"], {"schema": {"prefixItems": [{"type": "string"}]}}, False),
        ([1, "x"], {"schema": {"prefixItems": [{"type": "string"}]}, "draft": "7"}, True),
        ([1, "x"], {"schema": {"$schema": SEVEN, "items": [{"type": "string"}]}}, False),
        ("not a mail", {"schema": {"format": "email"}}, True),
        ("not a mail", {"schema": {"format": "email"}, "formats": True}, False),
        ('{"n": 1}', {"schema": NUMBER, "parseText": True}, True),
        ('{"n": 1', {"schema": NUMBER, "parseText": True}, False),
        ({"n": 1}, {"schema": NUMBER, "parseText": True}, False),
        (5, {"schema": {"$ref": "urn:whole"}, "documents": {"urn:whole": {"type": "integer"}}}, True),
        (5.5, {"schema": {"$ref": "urn:whole"}, "documents": {"urn:whole": {"type": "integer"}}}, False),
    ],
)
async def test_verdicts(judge: Judge, output: Any, params: dict[str, Any], verdict: bool) -> None:
    score = await judge("json-schema", example_scored(output), params)
    assert score.value is verdict
    assert bool(score.reason) is not verdict


async def test_the_case_may_bring_its_schema(judge: Judge) -> None:
    assert (await judge("json-schema", example_scored({"n": 1}, expected=NUMBER))).value is True
    assert (
        await judge("json-schema", example_scored({}, expected={"of": NUMBER}), {"expectedPath": "$.of"})
    ).value is False


async def test_every_fault_is_told_with_its_place(judge: Judge) -> None:
    schema = {"items": NUMBER}
    score = await judge("json-schema", example_scored([{"n": "a"}, {"n": 1}, {"n": "b"}]), {"schema": schema})
    assert [fault.partition(":")[0] for fault in score.details["faults"]] == ["$[0].n", "$[2].n"]


@pytest.mark.parametrize(
    "expected",
    [
        {"type": "nonsense"},
        {"$ref": "https://example.org/not-given.json"},
        {"$ref": "file:///etc/passwd"},
        {"$schema": "https://example.org/other"},
        {"pattern": "(?=a)"},
        "no schema",
        None,
    ],
)
async def test_a_schema_that_cannot_judge_is_no_score(judge: Judge, expected: Any) -> None:
    with pytest.raises(ScorerFailed, match="case one"):
        await judge("json-schema", example_scored("x", expected=expected))


def test_a_draft_that_is_not_known_is_refused_before_anything_runs() -> None:
    model = find_scorer("json-schema").parameters
    with pytest.raises(ValidationError, match="neither of"):
        model.model_validate({"schema": {"$schema": "http://json-schema.org/draft-04/schema#"}})
    with pytest.raises(ValidationError):
        model.model_validate({"schema": NUMBER, "draft": "4"})
    with pytest.raises(ValidationError, match=r"is no JSON Schema: \$\.properties\.n\.type: "):
        model.model_validate({"schema": {"properties": {"n": {"type": "nonsense"}}}})
    assert model.model_validate({"schema": {"items": [{}]}}), "a schema of draft 7"
    assert model.model_validate({"schema": NUMBER}).model_dump(by_alias=True, exclude_unset=True) == {"schema": NUMBER}


SUITE = "PENSTOCK_JSON_SCHEMA_SUITE"
DRAFTS: list[tuple[str, Draft]] = [("draft2020-12", "2020-12"), ("draft7", "7")]
# Both want what the scorer does not promise: meta-schemas of one's own that switch keywords, and that a document
# names another draft than the schema that refers to it.
OPTIONAL_LEFT_OUT = {"optional/format-assertion.json", "optional/cross-draft.json"}


@pytest.mark.servers
@pytest.mark.parametrize(("folder", "draft"), DRAFTS)
def test_the_official_suite_is_judged_right(
    folder: str, draft: Draft, record_property: Callable[[str, object], None]
) -> None:
    root = _suite()
    documents = _documents(root / "remotes", folder)
    required = optional = 0
    wrong: list[str] = []
    for file in sorted((root / "tests" / folder).rglob("*.json")):
        name = file.relative_to(root / "tests" / folder).as_posix()
        if name in OPTIONAL_LEFT_OUT:
            continue
        for group in json.loads(file.read_text("utf-8")):
            for test in group["tests"]:
                verdict = _verdict(group["schema"], test["data"], draft, documents, formats="optional/format/" in name)
                if verdict is not test["valid"]:
                    wrong.append(f"{name}: {group['description']}: {test['description']}: {verdict}")
                required += not name.startswith("optional/")
                optional += name.startswith("optional/")
    assert wrong == []
    assert required >= {"2020-12": 1200, "7": 900}[draft]
    record_property("required", required)
    record_property("optional", optional)
    print(f"{folder}: {required} required and {optional} optional tests judged right")  # noqa: T201 - the count is shown


def _suite() -> Path:
    folder = os.environ.get(SUITE, "")
    assert folder, f"{SUITE} must name the folder of the official JSON Schema test suite (with tests/ and remotes/)"
    assert (Path(folder) / "tests").is_dir(), f"{SUITE}: {folder} has no folder tests/"
    return Path(folder)


def _documents(remotes: Path, folder: str) -> dict[str, Any]:
    """What the suite's references name: documents of no draft, and those of this one."""
    paths = [path.relative_to(remotes).as_posix() for path in sorted(remotes.rglob("*.json"))]
    mine = [path for path in paths if not path.startswith("draft") or path.startswith(f"{folder}/")]
    return {f"http://localhost:1234/{path}": json.loads((remotes / path).read_text("utf-8")) for path in mine}


def _verdict(schema: Any, data: Any, draft: Draft, documents: dict[str, Any], *, formats: bool) -> object:
    score = json_schema(example_scored(data, expected=schema), draft=draft, documents=documents, formats=formats)
    assert isinstance(score, Score)
    return score.value
