"""CompiledRelease: a release with everything that a run would otherwise work out again."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.contracts.agent import AgentSpec, Limits, Pointer
from penstock.contracts.canonical import canonical, digest_bytes
from penstock.contracts.json_pointer import ABSENT, value_at
from penstock.contracts.model_choice import COMPLEXITIES, DEFAULT_COMPLEXITY, Complexity
from penstock.contracts.release import Release, ToolComponent
from penstock.contracts.tool import ToolSpec
from penstock.engine.deployment import Deployment
from penstock.engine.shape import Shape
from penstock.errors import Fault, Invalid
from penstock.governance.policy import Decider
from penstock.pal import Message, ToolOffer
from penstock.registry.prompt_text import render

_KEPT = 256


@dataclass(frozen=True, slots=True)
class CompiledTool:
    """A pinned tool with its schemas ready and its examples by their arguments."""

    component: ToolComponent
    spec: ToolSpec
    name: str
    version: str
    input: Shape
    output: Shape
    examples: Mapping[bytes, dict[str, Any]]
    spare: "CompiledTool | None" = None

    @classmethod
    def of(cls, component: ToolComponent, spares: Mapping[str, ToolComponent] | None = None) -> "CompiledTool":
        """The tool, and what it names among `spares` with the same params; raises `Invalid` for a broken schema."""
        spec = component.spec
        named = spec.fallback.tool if spec.fallback is not None else None
        found = spares.get(named) if named is not None and spares is not None else None
        others = {ref: spare for ref, spare in (spares or {}).items() if ref != named}
        return cls(
            component,
            spec,
            component.name,
            str(component.document["metadata"]["version"]),
            Shape(spec.input.schema_, f"{component.ref} input"),
            Shape(spec.output.schema_, f"{component.ref} output"),
            {canonical(example.arguments): example.result for example in spec.examples},
            cls.of(found.model_copy(update={"params": component.params}), others) if found is not None else None,
        )

    @property
    def offer(self) -> ToolOffer:
        """The tool as the model sees it."""
        description = str(self.component.document["metadata"].get("description", ""))
        return ToolOffer(self.name, description, self.spec.input.schema_)


class CompiledRelease:
    """One release, ready to run; raises `Invalid` if it cannot be (a broken schema, another prompt's body)."""

    def __init__(self, release: Release, prompt_body: bytes) -> None:
        self.release = release
        self.digest = release.digest
        self.name, self.version, self.team = release.name, release.version, release.agent.owner
        self.ref = f"{self.name}@{self.version}"
        self.spec: AgentSpec = release.agent.spec
        self.limits: Limits = self.spec.limits
        if digest_bytes(prompt_body) != release.prompt.body:
            raise Invalid("the prompt's body is not the one of the release", where=release.prompt.ref)
        self.input = Shape(self.spec.input.schema_, f"{self.ref} input")
        self.output = Shape(self.spec.output.schema_, f"{self.ref} output")
        self.response_format = _response_format(self.name, self.output)
        self.decider = Decider([(policy.ref, policy.spec) for policy in release.policies])
        spares = {tool.ref: tool for tool in release.spare_tools}
        self.tools = {tool.name: CompiledTool.of(tool, spares) for tool in release.tools}
        self.rule_tool = _rule_tool(self.spec, spares)
        self.offers: tuple[ToolOffer, ...] = tuple(tool.offer for tool in self.tools.values())
        self._deployments, self.classifier = _deployments(release, self.spec, self.offers)
        self.deployments = self._deployments[DEFAULT_COMPLEXITY]
        self._system = _system_prompt(self.spec, release, prompt_body)

    def deployments_for(self, complexity: Complexity) -> tuple[Deployment, ...]:
        """The models of a run of that complexity, in the order in which they are asked."""
        return self._deployments[complexity]

    def messages(self, call_input: Any, history: Sequence[Message]) -> tuple[Message, ...]:
        """System prompt, history, user; raises `Invalid` when a prompt variable finds no value in the input."""
        text = call_input if isinstance(call_input, str) else canonical(call_input).decode()
        return (
            {"role": "system", "content": self._system(call_input)},
            *(history if self.spec.mode == "conversational" else ()),
            {"role": "user", "content": text},
        )

    def owner_of(self, resource: str) -> str | None:
        """The team that owns a tool or a model of the release (`tools/<name>`, `models/<name>`)."""
        parts = (*self.release.all_tools, *self.release.models)
        return next((part.owner for part in parts if part.ref.partition("@")[0] == resource), None)


class ReleaseShelf:
    """The compiled releases in use, found by the release object itself (its digest would cost more than the run)."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, CompiledRelease] = OrderedDict()

    def take(self, release: Release, prompt_body: bytes) -> CompiledRelease:
        """The release compiled, now or earlier; raises `Invalid` if it cannot be."""
        found = self._kept.get(id(release))
        if found is None:
            found = CompiledRelease(release, prompt_body)
            self._kept[id(release)] = found  # holds the release, so that its id stays its own
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def tool_request(tool: CompiledTool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The platform's canonical tool request: the name without version, so that journals outlive a tool's patch."""
    return {"name": tool.name, "arguments": arguments, "params": tool.component.params}


def _rule_tool(spec: AgentSpec, spares: Mapping[str, ToolComponent]) -> CompiledTool | None:
    """The tool that answers for an output that breaks its schema, if the agent names one."""
    rule = spec.fallback.rule if spec.fallback is not None else None
    return CompiledTool.of(spares[rule.tool], spares) if rule is not None and rule.tool is not None else None


def _deployments(
    release: Release, spec: AgentSpec, offers: tuple[ToolOffer, ...]
) -> tuple[dict[Complexity, tuple[Deployment, ...]], Deployment | None]:
    """The agent's models by complexity, each with its spares in the order in which they are asked; the classifier."""
    by_ref = {model.ref: Deployment(model, offers) for model in release.models}
    classifier = spec.complexity.classifier if spec.complexity is not None else None
    answering = {one: tuple(by_ref[ref] for ref in spec.models_for(one)) for one in COMPLEXITIES}
    return answering, by_ref.get(classifier) if classifier is not None else None


def _response_format(name: str, output: Shape) -> dict[str, Any] | None:
    if not output.is_object:
        return None
    return {"type": "json_schema", "json_schema": {"name": name, "schema": dict(output.schema)}}


def _system_prompt(spec: AgentSpec, release: Release, body: bytes) -> Callable[[Any], str]:
    """What renders the system prompt from the input; rendered now if no variable depends on it."""
    text = body.decode()
    declared = release.prompt.spec.variables
    values: dict[str, Any] = {name: variable.default for name, variable in declared.items() if variable.has_default}
    pointers: dict[str, str] = {}
    for name, value in spec.prompt_variables.items():
        if isinstance(value, Pointer):
            pointers[name] = value.from_
        else:
            values[name] = value
    if not pointers:
        fixed = render(text, values)
        return lambda _: fixed

    def rendered(call_input: Any) -> str:
        found = {name: value_at(call_input, pointer) for name, pointer in pointers.items()}
        known = {**values, **{name: value for name, value in found.items() if value is not ABSENT}}
        missing = [
            Fault(f"{release.name}@{release.version} input", 0, 0, pointer, f"prompt variable {name!r} needs a value")
            for name, pointer in pointers.items()
            if name not in known
        ]
        if missing:
            raise Invalid("the input lacks what the prompt needs", where=release.agent.ref, faults=missing)
        return render(text, known)

    return rendered
