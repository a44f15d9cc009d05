"""The one place that knows OpenTelemetry's GenAI names."""

from typing import Any

INVOKE_AGENT = "invoke_agent"
CHAT = "chat"
EXECUTE_TOOL = "execute_tool"


def agent_attributes(event: dict[str, Any]) -> dict[str, Any]:
    """Of the span of a run; `event` is any event of it. The release is what GenAI calls the agent's version."""
    named = {
        "gen_ai.operation.name": INVOKE_AGENT,
        "gen_ai.agent.name": event["agent"],
        "gen_ai.agent.version": event["release"],
        "gen_ai.conversation.id": event["sessionId"],
        "penstock.run.id": event["runId"],
        "penstock.agent.semver": event["version"],
        "penstock.stage": event["stage"],
        "penstock.runtime": event["runtime"],
        "penstock.mode": event["mode"],
        "penstock.team": event["team"],
        "penstock.tenant": event["tenant"],
    }
    return {name: value for name, value in named.items() if value is not None}


def model_attributes(data: dict[str, Any]) -> dict[str, Any]:
    """Of the span of a model call, from the data of llm.started or llm.finished."""
    named = {
        "gen_ai.operation.name": CHAT,
        "gen_ai.request.model": data.get("modelRef"),
        "gen_ai.response.finish_reasons": [data["finishReason"]] if data.get("finishReason") else None,
        "penstock.ttft_ms": data.get("ttftMs"),
        **usage_attributes(data),
    }
    return {name: value for name, value in named.items() if value is not None}


def tool_attributes(data: dict[str, Any]) -> dict[str, Any]:
    """Of the span of a tool call, from the data of tool.started, tool.finished or tool.failed."""
    named = {
        "gen_ai.operation.name": EXECUTE_TOOL,
        "gen_ai.tool.name": data["tool"],
        "gen_ai.tool.call.id": data["callId"],
        "penstock.tool.version": data.get("version"),
        "error.type": data.get("code"),
    }
    return {name: value for name, value in named.items() if value is not None}


def usage_attributes(data: dict[str, Any]) -> dict[str, Any]:
    """Tokens and cost, from the data of llm.finished or of a run's terminal event."""
    usage = data.get("usage") or {}
    return {
        "gen_ai.usage.input_tokens": usage.get("promptTokens"),
        "gen_ai.usage.output_tokens": usage.get("completionTokens"),
        "penstock.cost_usd": data.get("costUsd", usage.get("costUsd")),
    }
