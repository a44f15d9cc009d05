"""A small release in memory, for tests and benchmarks that need one without a registry."""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.contracts.agent import AgentSpec
from penstock.contracts.canonical import digest, digest_bytes
from penstock.contracts.release import Release
from penstock.contracts.runtime import Runtime

TEXT: Mapping[str, Any] = {"type": "string"}
ALLOW_ALL: Sequence[Mapping[str, Any]] = ({"name": "all", "effect": "allow"},)
BODY = b"You are {{ name }}, and you answer in {{ language }}."
TOWN_TOOL: Mapping[str, Any] = {
    "input": {"schema": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}},
    "output": {"schema": {"type": "object", "properties": {"degrees": {"type": "number"}}, "required": ["degrees"]}},
    "implementation": {"type": "python", "entry": "tool:weather"},
    "sideEffects": "read",
}


def example_release(
    agent: Mapping[str, Any] | None = None,
    *,
    name: str = "clerk",
    tools: Mapping[str, Mapping[str, Any]] | None = None,
    rules: Sequence[Mapping[str, Any]] = ALLOW_ALL,
    model: Mapping[str, Any] | None = None,
    spare_tools: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Release, bytes]:
    """A release of an agent from text to text, and its prompt's body.

    `agent` and `model` override fields of their specs, `model` those of every model that the agent pins; `tools` and
    `spare_tools` map names to fields that differ from `TOWN_TOOL`; `rules` are those of its only policy.
    """
    tools, spare_tools = tools or {}, spare_tools or {}
    spec: dict[str, Any] = {
        "mode": "workflow",
        "promptRef": "prompts/clerk@1.0.0",
        "promptVariables": {"name": "a clerk", "language": "English"},
        "modelRef": "models/fake@1.0.0",
        "toolRefs": [f"tools/{tool}@1.0.0" for tool in tools],
        "policyRefs": ["policies/default@1.0.0"],
        "input": {"schema": TEXT},
        "output": {"schema": TEXT},
        **(agent or {}),
    }
    model = {"model": "fake/one", "contextTokens": 8192, **(model or {})}
    variables = {"name": {"type": "string"}, "language": {"type": "string"}}
    prompt = _component("prompts", "Prompt", "clerk", {"role": "system", "variables": variables})
    release: dict[str, Any] = {
        "agent": _component("agents", "Agent", name, spec),
        "prompt": {**prompt, "body": digest_bytes(BODY)},
        "tools": _tools(tools),
        **({"spareTools": _tools(spare_tools)} if spare_tools else {}),
        "policies": [_component("policies", "Policy", "default", {"rules": [dict(rule) for rule in rules]})],
        "models": [_component("models", "Model", name, model) for name in _model_names(spec)],
        "minEngine": "0.1.0",
    }
    return Release.model_validate(release), BODY


def _model_names(spec: Mapping[str, Any]) -> list[str]:
    return [ref.partition("/")[2].partition("@")[0] for ref in AgentSpec.model_validate(spec).models]


def example_declaration(name: str = "direct", distribution: str = "penstock", **fields: Any) -> Runtime:
    """A runtime declaration that can do everything that is built; `fields` override those of its spec."""
    spec = {
        "runtime": distribution,
        "versions": ">=0",
        "adapter": name,
        "capabilities": {
            "modes": ["workflow", "conversational"],
            "toolCalling": True,
            "streaming": True,
            "maxContextTokens": 1_000_000,
        },
        **fields,
    }
    document = {"apiVersion": "penstock.dev/v1", "kind": "Runtime", "metadata": {"name": name}, "spec": spec}
    return Runtime.model_validate(document)


def _tools(tools: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [_component("tools", "Tool", tool, {**TOWN_TOOL, **fields}) for tool, fields in tools.items()]


def _component(folder: str, kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "version": "1.0.0", "owner": "example-team", "description": f"The {name}."}
    document = {"apiVersion": "penstock.dev/v1", "kind": kind, "metadata": metadata, "spec": dict(spec)}
    return {"ref": f"{folder}/{name}@1.0.0", "digest": digest(document), "document": document}
