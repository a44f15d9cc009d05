from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.evidence import Evidence
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.release import Release
from penstock.gates.context import GateContext
from penstock.settings import Settings


def document(kind: str, name: str, spec: dict[str, Any], version: str = "1.0.0") -> dict[str, Any]:
    metadata = {"name": name, "version": version, "owner": "qa"}
    return {"apiVersion": "penstock.dev/v1", "kind": kind, "metadata": metadata, "spec": spec}


def make_release(
    tools: list[dict[str, Any]] | None = None, *, version: str = "1.0.0", slo: dict[str, Any] | None = None
) -> Release:
    nothing = digest_bytes(b"")
    agent = {
        "mode": "workflow",
        "promptRef": "prompts/echo@1.0.0",
        "modelRef": "models/standard@1.0.0",
        "policyRefs": ["policies/default@1.0.0"],
        "toolRefs": [tool["ref"] for tool in tools or []],
        "input": {"schema": {"type": "string"}},
        "output": {"schema": {"type": "string"}},
        **({"slo": slo} if slo else {}),
    }
    rule = {"name": "all", "effect": "allow"}
    return Release.model_validate(
        {
            "schema": "penstock.dev/release/v1",
            "agent": {
                "ref": f"agents/echo@{version}",
                "digest": nothing,
                "document": document("Agent", "echo", agent, version),
            },
            "prompt": {
                "ref": "prompts/echo@1.0.0",
                "digest": nothing,
                "body": nothing,
                "document": document("Prompt", "echo", {}),
            },
            "tools": tools or [],
            "policies": [
                {
                    "ref": "policies/default@1.0.0",
                    "digest": nothing,
                    "document": document("Policy", "default", {"rules": [rule]}),
                }
            ],
            "models": [
                {
                    "ref": "models/standard@1.0.0",
                    "digest": nothing,
                    "document": document("Model", "standard", {"model": "x/y", "contextTokens": 1000}),
                }
            ],
            "minEngine": "0.1.0",
        }
    )


def make_tool(files: dict[str, str], name: str = "search", entry: str = "tool:search") -> dict[str, Any]:
    schema = {"schema": {"type": "object"}}
    spec = {"input": schema, "output": schema, "implementation": {"type": "python", "entry": entry}}
    return {
        "ref": f"tools/{name}@1.0.0",
        "digest": digest_bytes(b""),
        "document": document("Tool", name, spec),
        "files": [{"path": path, "digest": digest_bytes(text.encode())} for path, text in files.items()],
    }


def make_pipeline(**gates: list[dict[str, Any]]) -> Pipeline:
    stages = {stage: {"gates": gates.get(stage, [])} for stage in ("dev", "canary", "prod")}
    spec = {"stages": stages, "canary": {"steps": [{"percent": 20.0}]}}
    head = {"apiVersion": "penstock.dev/v1", "kind": "Pipeline", "metadata": {"name": "default"}}
    return Pipeline.model_validate({**head, "spec": spec})


class MemoryRecords:
    """Results and evidence in memory, as the store keeps them: by their ids."""

    def __init__(self) -> None:
        self.kept: dict[str, GateResult] = {}
        self.evidence: dict[str, Evidence] = {}

    def results(self, release: str) -> list[GateResult]:
        return [result for result in self.kept.values() if result.release == release]

    def put_result(self, result: GateResult) -> None:
        stored = GateResult.model_validate_json(result.model_dump_json(by_alias=True))
        assert stored.id == stored.computed_id
        self.kept[stored.id] = stored

    def put_evidence(self, evidence: Evidence) -> None:
        self.evidence[evidence.digest] = evidence


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., GateContext]:
    """Makes a context around a release: `context(release, blobs={...}, ...)`."""

    def make(release: Release | None = None, *, blobs: dict[str, bytes] | None = None, **fields: Any) -> GateContext:
        resolved: Any = SimpleNamespace(release=release or make_release(), blobs=blobs or {})
        registry: Any = fields.pop("registry", SimpleNamespace(pipeline=None))
        return GateContext(settings=Settings(root=tmp_path), registry=registry, resolved=resolved, **fields)

    return make


@pytest.fixture
def release_of() -> Callable[..., Release]:
    return make_release


@pytest.fixture
def tool_of() -> Callable[..., dict[str, Any]]:
    return make_tool


@pytest.fixture
def pipeline_of() -> Callable[..., Pipeline]:
    return make_pipeline
