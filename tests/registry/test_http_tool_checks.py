"""What is wrong with an http tool, and with a model that does without LiteLLM: by file, line and column."""

from pathlib import Path
from typing import Any

import pytest

from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.testing.project import project

TOOL = "registry_repo/tools/search/1.0.0.yaml"
CODE = "registry_repo/tools/search/1.0.0/tool.py"
MODEL = "registry_repo/models/standard/1.0.0.yaml"
PYTHON = '  implementation: {type: python, entry: "tool:search"}\n'
HTTP = """  implementation:
    type: http
    method: POST
    url: https://api.example.com/items/{/arguments/query}/all
    query: {limit: {from: /params/limit}, exact: true}
    headers: {authorization: {secret: API_TOKEN, prefix: "Bearer "}, x-kind: test}
    body: {query: {from: /arguments/query}, tags: [{from: /params/limit}]}
  secrets: [API_TOKEN]
"""
LEAN = "  model: qa\n  transport: openai-compatible\n"


def with_http(files: dict[str, str], old: str = "", new: str = "") -> dict[str, str]:
    """The small registry with its tool behind HTTP, changed at one place."""
    assert old in HTTP
    changed = {**files, TOOL: files[TOOL].replace(PYTHON, HTTP.replace(old, new, 1) if old else HTTP)}
    del changed[CODE]
    return changed


def faults_of(tmp_path: Path, files: dict[str, str]) -> list[str]:
    project(files, tmp_path)
    return [str(fault) for fault in load_registry(TreeSource(tmp_path)).faults]


def test_an_http_tool_is_sound(tmp_path: Path, files: dict[str, str]) -> None:
    assert faults_of(tmp_path, with_http(files)) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{/arguments/query}", "{/arguments/qery}", "11:10: spec.implementation.url: /arguments/qery: spec.input has"),
        ("{/arguments/query}", "{/params/limit}", "11:10: spec.implementation.url: /params/limit may be missing"),
        ("{/arguments/query}", "{query}", "spec.implementation.url: 'query' is no pointer into the call"),
        ("{/arguments/query}", "{/arguments}", "spec.implementation.url: /arguments may be missing"),
        ("query}/all", "query/all", "spec.implementation.url: has a brace without its other half"),
        ("https://api.example.com", "https://me:pw@api.example.com", "spec.implementation.url"),
        ("https://api.example.com", "https://{/arguments/query}", "spec.implementation.url"),
        ("/all", "/all?x=1", "spec.implementation.url"),
        ("api.example.com", "api.example.com:99999", "spec.implementation.url: its host or port is none"),
        ("api.example.com", "[1:2]", "spec.implementation.url: its host or port is none"),
        ("https", "ftp", "spec.implementation.url"),
        ("/params/limit}, exact", "/params/limt}, exact", "12:20: spec.implementation.query.limit: /params/limt"),
        ("from: /params/limit}, exact", "from: limit}, exact", "spec.implementation.query.limit.from"),
        ("secret: API_TOKEN", "secret: OTHER", "spec.implementation.headers.authorization: OTHER is not declared"),
        ("{secret: API_TOKEN, prefix: \"Bearer \"}", "plain", "'authorization' must hold a reference to a secret"),
        ("x-kind", "x-api-key", "'x-api-key' must hold a reference to a secret"),
        ("x-kind", "Host", "'Host' is set by the platform"),
        ("x-kind", "idempotency-key", "'idempotency-key' is set by the platform"),
        ("x-kind", '"a b"', "'a b' is no name of a header"),
        ("x-kind: test", 'x-kind: "a\\nb"', "holds what no HTTP header can"),
        ("method: POST", "method: GET", "spec.implementation.body: a GET has no body"),
        ("method: POST", "method: HEAD", "'HEAD' is none of"),
        ("[{from: /params/limit}]", "[{from: /params/x}]", "spec.implementation.body.tags[0].from: /params/x"),
        ("[{from: /params/limit}]", "[{from: there}]", "'there' is no pointer into the call"),
        ("type: http", "type: mcp", "spec.implementation"),
        ("    method: POST\n", "", "'method' is missing"),
        ("method: POST", "method: POST\n    entry: x", "unknown field 'entry'"),
    ],
)  # fmt: skip
def test_each_fault_of_a_request_is_said(tmp_path: Path, files: dict[str, str], old: str, new: str, says: str) -> None:
    found = faults_of(tmp_path, with_http(files, old, new))
    assert any(says in fault for fault in found), found
    assert all(fault.startswith(f"{TOOL}:") for fault in found)


def test_an_http_tool_has_no_code(tmp_path: Path, files: dict[str, str]) -> None:
    found = faults_of(tmp_path, {**with_http(files), CODE: files[CODE]})
    assert found == [f"{CODE}: an http tool has no code (remove the folder)"]


def lean(files: dict[str, str], parameters: str, **changes: Any) -> dict[str, str]:
    written = files[MODEL].replace("  model: scripted/qa\n", changes.get("model", LEAN))
    return {**files, MODEL: written.replace("{apiKey: {secret: KEY_NAME}}", parameters)}


def test_a_model_at_an_endpoint_is_sound(tmp_path: Path, files: dict[str, str]) -> None:
    parameters = "{apiBase: 'https://llm.example.com/v1', apiKey: {secret: KEY_NAME}, temperature: 0}"
    assert faults_of(tmp_path, lean(files, parameters)) == []


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ("{apiKey: {secret: KEY_NAME}}", "7:15: spec.parameters: the transport openai-compatible needs"),
        ("{apiBase: llm.example.com}", "7:25: spec.parameters.apiBase: 'apiBase' must be an http or https URL"),
        ("{apiBase: 'https://u:p@llm.example.com'}", "'apiBase' must be an http or https URL without user"),
        ("{apiBase: 'https://llm.example.com/?k=v'}", "'apiBase' must be an http or https URL without user"),
        ("{apiBase: 'https://llm.example.com:port'}", "'apiBase' must be an http or https URL without user"),
        ("{apiBase: {secret: KEY_NAME}}", "'apiBase' must be an http or https URL without user"),
        ("{apiBase: 'https://llm.example.com', dropParams: true}", "'dropParams' is LiteLLM's own"),
        ("{apiBase: 'https://llm.example.com', apiVersion: '1'}", "'apiVersion' is LiteLLM's own"),
    ],
)  # fmt: skip
def test_each_fault_of_an_endpoint_is_said(tmp_path: Path, files: dict[str, str], parameters: str, says: str) -> None:
    found = faults_of(tmp_path, lean(files, parameters))
    assert any(says in fault for fault in found), found
    assert all(fault.startswith(f"{MODEL}:") for fault in found)


def test_the_scripted_model_has_no_endpoint(tmp_path: Path, files: dict[str, str]) -> None:
    model = "  model: scripted/qa\n  transport: openai-compatible\n"
    found = faults_of(tmp_path, lean(files, "{}", model=model))
    assert any("spec.transport: the transport openai-compatible does not reach the scripted" in one for one in found)


def test_an_unknown_transport_is_named(tmp_path: Path, files: dict[str, str]) -> None:
    found = faults_of(tmp_path, lean(files, "{}", model="  model: qa\n  transport: litelm\n"))
    assert any("did you mean 'litellm'?" in fault for fault in found)
