"""The cases of gate `model`: what a model spec must do over its transport, against a server that stands in for it."""

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from penstock.contracts.json_schema import instance_faults
from penstock.contracts.release import ModelComponent, Release
from penstock.errors import Unavailable
from penstock.llm.clients import own_clients
from penstock.llm.route import CONNECTION, Route, known_context_tokens, route_of, unmapped_parameters
from penstock.llm.scripted.answer import MODEL
from penstock.llm.transport import TransportProvider
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ToolOffer
from penstock.registry.model_checks import is_secret, snake_case
from penstock.testing.model_server import ModelServer

_CALL_S = 10.0
_SHORT_S = 0.5
_LATEST_S = 5.0
_TOOL = ToolOffer(
    "find-related",
    "Finds related requirements.",
    {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}},
)
_MESSAGES = (
    {"role": "system", "content": "Answer about the requirement. Use find-related if it is offered."},
    {"role": "user", "content": "The user can log in within 5 seconds. " * 6},
)
_SCHEMA = {
    "type": "object",
    "required": ["summary"],
    "properties": {"summary": {"type": "string"}},
    "additionalProperties": False,
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA}}
LIMITS = ("rate limit", "server failure", "refused key", "timeout", "context length")


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case; skipped = it could not be asked, and `what` says why."""

    case: str
    outcome: Literal["passed", "failed", "skipped"]
    what: str

    def as_document(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return asdict(self)


class CaseFailed(Exception):
    """The model does not do what the case wants; the message says what it does."""


class StandIn(Mapping[str, str]):
    """Every secret, each with a value that is none."""

    def __getitem__(self, name: str) -> str:
        return f"stand-in-for-{name}"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


Case = Callable[[], Awaitable[str]]


async def run_cases(release: Release, component: ModelComponent, timeout_s: float) -> list[CaseRow]:
    """A row for each case of one model spec; raises `Unavailable` when they are not through within `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            route = await asyncio.to_thread(_route, component)
            if route.kind == "other":
                return _by_tables(release, component, route)
            with ModelServer() as server:
                async with own_clients() if component.spec.transport == "litellm" else contextlib.nullcontext():
                    cases = ModelCases(release, component, route, server)
                    return [await _row(name, case) for name, case in cases.all()] + cases.unasked
    except TimeoutError:
        what = f"the model's cases were not through within {timeout_s:g} s"
        raise Unavailable(what, where=component.ref, now="run it again, or raise the gate's timeoutS") from None


class ModelCases:
    """The cases of a model that is reached: the scripted one in process, all others at the model server."""

    def __init__(self, release: Release, component: ModelComponent, route: Route, server: ModelServer) -> None:
        self._release = release
        self._spec = component.spec
        self._route = route
        self._server = server
        self._provider = TransportProvider(StandIn())
        self._call = ModelCall(
            ref=component.ref,
            model=component.spec.model,
            parameters=self._parameters(),
            price=component.spec.price,
            messages=_MESSAGES,
            timeout_s=_CALL_S,
            transport=component.spec.transport,
        )

    def all(self) -> list[tuple[str, Case]]:
        """Name and case, in order."""
        cases: list[tuple[str, Case]] = [("routing", self._routing), ("answer", self._answer), ("stream", self._stream)]
        if self._route.kind == "in-process" and self._route.name != MODEL:
            return cases
        if self._release.tools:
            cases.append(("tool call", self._tool_call))
        if has_object_output(self._release):
            cases.append(("structured output", self._structured))
        if self._route.kind == "in-process":
            return cases
        limits = (self._rate_limit, self._server_failure, self._refused_key, self._timeout, self._context_length)
        return [*cases, *zip(LIMITS, limits, strict=True)]

    @property
    def unasked(self) -> list[CaseRow]:
        """What has no case here, and why."""
        if self._route.kind == "in-process":
            why = "the scripted model runs in process: there is no endpoint that could refuse"
            return [*unneeded(self._release), *(CaseRow(name, "skipped", why) for name in LIMITS)]
        return list(unneeded(self._release))

    def _parameters(self) -> dict[str, Any]:
        """The spec's own, but for where calls go: to the server and nowhere else."""
        own = self._spec.parameters
        if self._route.kind == "in-process":
            return dict(own)
        kept = {name: value for name, value in own.items() if snake_case(name) not in CONNECTION}
        keys = [value for name, value in own.items() if snake_case(name) == "api_key"]
        return {**kept, "apiBase": self._server.url, "apiKey": keys[0] if keys else {"secret": "NO_KEY"}}

    async def _routing(self) -> str:
        before = self._server.statistics.requests
        await self._provider.complete(self._call)
        if self._route.kind == "in-process":
            return f"{self._spec.model} answers in process"
        if self._server.statistics.requests == before:
            raise CaseFailed("the request did not reach the model's endpoint")
        body, headers = self._server.last_request
        name = str(body.get("model", ""))
        if name != self._route.name and not name.endswith(f"/{self._route.name}"):
            raise CaseFailed(f"the endpoint was asked for {name!r}, not {self._route.name!r}")
        key = self._call.parameters["apiKey"]
        if is_secret(key) and headers.get("authorization") != f"Bearer {StandIn()[key['secret']]}":
            raise CaseFailed("the endpoint did not get the key that the spec names")
        sent = list(self._sent(body))
        return f"{self._route.provider} is asked for {name}{': ' if sent else ''}{', '.join(sent)}"

    def _sent(self, body: Mapping[str, Any]) -> Iterator[str]:
        """How each parameter of the spec reached the endpoint; raises `CaseFailed` for one that did not."""
        drops = self._spec.parameters.get("dropParams", self._spec.parameters.get("drop_params")) is True
        for name, value in self._call.parameters.items():
            plain = snake_case(name)
            if plain in CONNECTION or plain in {"drop_params", "allowed_openai_params"}:
                continue
            if plain == "extra_body" and isinstance(value, dict):
                found = "extraBody" if all(key in body for key in value) else None
            elif plain in body:
                found = name
            else:
                found = next((f"{name} as {key}" for key, sent in body.items() if sent == value), None)
            if found is None and not drops:
                raise CaseFailed(f"parameter {name!r} did not reach the endpoint")
            yield found or f"{name} dropped, as the spec lets it be"

    async def _answer(self) -> str:
        answer = await self._provider.complete(self._call)
        return f"{_tokens(answer)} cost {self._cost(answer)} USD"

    async def _stream(self) -> str:
        pieces: list[str] = []
        answer = await self._provider.complete(replace(self._call, on_delta=pieces.append))
        if not pieces or "".join(pieces) != answer.content:
            raise CaseFailed("the streamed pieces are not the answer")
        return f"{len(pieces)} pieces, {_tokens(answer)}, {self._cost(answer)} USD"

    async def _tool_call(self) -> str:
        answer = await self._provider.complete(replace(self._call, tools=(_TOOL,)))
        names = [request.name for request in answer.tool_requests]
        if names != [_TOOL.name]:
            raise CaseFailed(f"a tool that is offered was not asked for: {names or 'no call'}")
        request = answer.tool_requests[0]
        result = {"role": "tool", "tool_call_id": request.id, "content": '{"hits": []}'}
        after = replace(self._call, tools=(_TOOL,), messages=(*_MESSAGES, answer.message, result))
        if not (await self._provider.complete(after)).content:
            raise CaseFailed("a tool's result was not followed by an answer")
        return f"{request.name}({request.arguments}), and an answer to its result"

    async def _structured(self) -> str:
        answer = await self._provider.complete(replace(self._call, response_format=_FORMAT))
        if self._route.kind == "chat" and "response_format" not in self._server.last_request[0]:
            raise CaseFailed("the output schema did not reach the endpoint as response_format")
        try:
            faults = list(instance_faults(_SCHEMA, json.loads(answer.content or "")))
        except ValueError:
            raise CaseFailed("the answer to an output schema is no JSON") from None
        if faults:
            raise CaseFailed(f"the answer does not fit the output schema: {faults[0][1]}")
        return "the output schema is passed on, and the answer fits it"

    async def _rate_limit(self) -> str:
        failed = await self._refused("status-429", retryable=True)
        if failed is None:
            return "429 is tried again by LiteLLM's own client"
        if failed.retry_after_s != 1.0:
            raise CaseFailed(f"Retry-After: 1 was read as {failed.retry_after_s}")
        return f"429 may be retried after 1 s, and then answers: {_tokens(await self._provider.complete(self._call))}"

    async def _server_failure(self) -> str:
        failed = await self._refused("status-500", retryable=True)
        return "500 is tried again by LiteLLM's own client" if failed is None else "500 may be retried"

    async def _refused_key(self) -> str:
        await self._refused("status-401", retryable=False)
        return "401 ends the run at once"

    async def _timeout(self) -> str:
        before = time.monotonic()
        await self._refused("hang", retryable=True, timeout_s=_SHORT_S)
        taken_s = time.monotonic() - before
        if taken_s > _LATEST_S:
            raise CaseFailed(f"a call of {_SHORT_S:g} s ended after {taken_s:.1f} s")
        return f"a call of {_SHORT_S:g} s to an endpoint that never answers ends in time, and may be retried"

    async def _context_length(self) -> str:
        await self._refused("too-long", retryable=False)
        known = await asyncio.to_thread(known_context_tokens, self._spec.model)
        own = self._spec.context_tokens
        beside = f"; the spec says {own} tokens, LiteLLM's table {known}" if known is not None and known != own else ""
        return f"a request that is too long ends the run at once{beside}"

    async def _refused(self, fault: str, *, retryable: bool, timeout_s: float = _CALL_S) -> ModelFailed | None:
        """The failure that an endpoint's fault leads to; None = the client tried again by itself, and got an answer."""
        before = self._server.statistics.requests
        self._server.next_faults(fault)
        try:
            await self._provider.complete(replace(self._call, timeout_s=timeout_s))
        except ModelFailed as failed:
            if failed.retryable != retryable:
                may = "may" if failed.retryable else "may not"
                raise CaseFailed(f"{fault} {may} be retried: {failed.what}") from None
            return failed
        if retryable and self._server.statistics.requests > before + 1:
            return None
        raise CaseFailed(f"{fault} was not told as a failure")

    def _cost(self, answer: ModelAnswer) -> float:
        cost, price = answer.usage.cost_usd, self._spec.price
        if cost is None:
            raise CaseFailed("its price is neither in the spec nor in LiteLLM's table: no cost can be accounted for")
        if price is not None:
            tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
            due = (tokens[0] * price.input_usd_per_1m + tokens[1] * price.output_usd_per_1m) / 1_000_000
            if not math.isclose(cost, due, rel_tol=1e-9, abs_tol=1e-15):
                raise CaseFailed(f"{_tokens(answer)} cost {cost} USD, and by the spec's price {due}")
        return cost


def unneeded(release: Release) -> Iterator[CaseRow]:
    """The cases of what the agent never asks a model for, and why."""
    if not release.tools:
        yield CaseRow("tool call", "skipped", "the agent pins no tool")
    if not has_object_output(release):
        yield CaseRow("structured output", "skipped", "the agent's output is no object")


def has_object_output(release: Release) -> bool:
    """Whether the output schema goes out as response_format."""
    return release.agent.spec.output.schema_.get("type") == "object"


def _route(component: ModelComponent) -> Route:
    """Where the model's calls go; without LiteLLM there is one way, and the server speaks it."""
    if component.spec.transport == "openai-compatible":
        return Route("an OpenAI-compatible endpoint", component.spec.model, "chat")
    return route_of(component.spec.model)


def _by_tables(release: Release, component: ModelComponent, route: Route) -> list[CaseRow]:
    """What LiteLLM's own tables say of a provider that cannot be stood in for."""
    if not route.provider:
        return [CaseRow("routing", "failed", route.why)]
    own = {snake_case(name): name for name in component.spec.parameters}
    needs = [*(["tools"] if release.tools else []), *(["response_format"] if has_object_output(release) else [])]
    unmapped = unmapped_parameters(route, [*own, *needs])
    drops = component.spec.parameters.get("dropParams") is True
    lost = [own.get(name, name) for name in unmapped if not (drops and name in own)]
    if lost:
        routing = CaseRow("routing", "failed", f"LiteLLM cannot hand {', '.join(lost)} to {route.provider}")
    else:
        what = f"LiteLLM maps {route.name} and its parameters to {route.provider}, by its tables alone"
        routing = CaseRow("routing", "passed", what)
    why = f"{route.why}, and the local server stands in for the chat protocol only"
    others = ("answer", "stream", "tool call", "structured output", *LIMITS)
    return [routing, *(CaseRow(name, "skipped", why) for name in others)]


async def _row(name: str, case: Case) -> CaseRow:
    try:
        return CaseRow(name, "passed", await case())
    except CaseFailed as failed:
        return CaseRow(name, "failed", str(failed))
    except ModelFailed as failed:
        return CaseRow(name, "failed", failed.what)


def _tokens(answer: ModelAnswer) -> str:
    return f"{answer.usage.prompt_tokens} + {answer.usage.completion_tokens} tokens"
