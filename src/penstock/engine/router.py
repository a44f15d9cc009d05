"""RuntimeRouter: which runtime runs a release."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from penstock.contracts.agent import AgentSpec
from penstock.contracts.release import Release
from penstock.contracts.runtime import Runtime as Declaration
from penstock.errors import Invalid, NotFound, Refused, Unavailable
from penstock.pal import Runtime
from penstock.plugins import Plugins

RUNTIMES: Plugins[Callable[[Declaration], Runtime]] = Plugins("runtime adapter", "penstock.runtimes")
_REMEMBERED = 1024


class RuntimeRouter:
    """The declared runtimes by name; each adapter is imported when it is first chosen."""

    def __init__(self, declarations: Mapping[str, Declaration]) -> None:
        self.declarations = dict(declarations)
        self._adapters: dict[str, Runtime] = {}
        self._fitting: dict[tuple[int, str], Release] = {}

    def choose(self, release: Release, override: str | None, default: str) -> Runtime:
        """The runtime that `override` names, else the agent's selector, else `default`.

        Raises `NotFound` if it is not declared, `Refused` naming every capability that it lacks, `Unavailable` if it
        is not installed in a version of its declared range.
        """
        spec = release.agent.spec if override is None else None
        name = override or (spec.runtime.selector if spec else None) or default
        key = (id(release), name)
        if self._fitting.get(key) is not release:
            self._require_fit(release, name)
            if len(self._fitting) >= _REMEMBERED:
                self._fitting.clear()
            self._fitting[key] = release
        return self.adapter(name)

    def adapter(self, name: str) -> Runtime:
        """The adapter of a declared runtime; raises `NotFound`, or `Unavailable` if it is not installed."""
        known = self._adapters.get(name)
        if known is None:
            declaration = self._declaration(name)
            _require_version(declaration)
            try:
                known = RUNTIMES.get(declaration.spec.adapter)(declaration)
            except ImportError as error:
                raise _notinstalled_version(declaration, str(error)) from None
            self._adapters[name] = known
        return known

    def matching(self, release: Release) -> list[str]:
        """The declared runtimes that are installed and can run the release, sorted."""
        return [name for name in sorted(self.declarations) if self._can_run(release, name)]

    def runs_at_once(self, name: str) -> int | None:
        """How many runs the runtime bears in one process; None = it is not declared."""
        declaration = self.declarations.get(name)
        return declaration.spec.limits.concurrent_runs if declaration is not None else None

    def _can_run(self, release: Release, name: str) -> bool:
        try:
            self._require_fit(release, name)
            self.adapter(name)
        except (Refused, Unavailable, NotFound):
            return False
        return True

    def _require_fit(self, release: Release, name: str) -> None:
        missing = missing_capabilities(release.agent.spec, self._declaration(name))
        if missing:
            fitting = [other for other in sorted(self.declarations) if self._fits(release, other)]
            raise Refused(
                f"runtime {name} cannot run {release.name}@{release.version}: it lacks {', '.join(missing)}",
                where=f"runtimes/{name}.yaml spec.capabilities",
                now=f"runtimes that can: {', '.join(fitting) or 'none'}",
            )

    def _fits(self, release: Release, name: str) -> bool:
        return not missing_capabilities(release.agent.spec, self.declarations[name])

    def _declaration(self, name: str) -> Declaration:
        declaration = self.declarations.get(name)
        if declaration is None:
            known = ", ".join(sorted(self.declarations)) or "none"
            raise NotFound(f"no runtime {name!r} is declared", where="runtimes/", now=f"declared: {known}")
        return declaration


def missing_capabilities(agent: AgentSpec, declaration: Declaration) -> list[str]:
    """What the agent needs and the runtime does not declare, in the words of the declaration."""
    able, needs = declaration.spec.capabilities, agent.runtime.requires
    lacks = {
        f"mode {agent.mode}": agent.mode not in able.modes,
        "toolCalling": (needs.tool_calling or bool(agent.tool_refs)) and not able.tool_calling,
        "humanInLoop": needs.human_in_loop and not able.human_in_loop,
        "multimodal": needs.multimodal and not able.multimodal,
        "streaming": needs.streaming and not able.streaming,
        f"maxContextTokens of {needs.context_tokens}": needs.context_tokens > able.max_context_tokens,
    }
    return [what for what, is_missing in lacks.items() if is_missing]


@lru_cache(maxsize=64)
def installed_version(distribution: str) -> str | None:
    """The version of a package; None = it is not installed here."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _require_version(declaration: Declaration) -> None:
    spec, where = declaration.spec, f"runtimes/{declaration.metadata.name}.yaml"
    try:
        range_ = SpecifierSet(spec.versions)
    except InvalidSpecifier:
        raise Invalid(f"{spec.versions!r} is no version range", where=where, now="write it as PEP 440 says") from None
    found = installed_version(spec.runtime)
    if found is None:
        raise _notinstalled_version(declaration, f"{spec.runtime} is not installed")
    if not range_.contains(found, prereleases=True):
        raise Unavailable(
            f"{spec.runtime} {found} is installed, and the adapter was tried with {spec.versions}",
            where=where,
            now=_pip_line(declaration),
        )


def _notinstalled_version(declaration: Declaration, what: str) -> Unavailable:
    return Unavailable(what, where=f"runtimes/{declaration.metadata.name}.yaml", now=_pip_line(declaration))


def _pip_line(declaration: Declaration) -> str:
    extra = declaration.spec.adapter
    return f"pip install 'penstock[{extra}]'" if extra != "direct" else "pip install penstock"
