"""Degraded runs: which model a run asks first by an operator's word, and how that is on record."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.contracts.release import ModelComponent, Release
from penstock.contracts.routing_table import DegradedEntry
from penstock.engine.deployment import Deployment
from penstock.engine.run import Run

KIND = "degrade"


def degraded_first(run: Run, deployments: Sequence[Deployment]) -> list[Deployment]:
    """The models in the order in which they are asked; a degraded run's is the first, the others keep their order.

    A release without the model asks its own as ever. The first use in a run is an event.
    """
    degraded = run.call.degraded
    component = model_in(run.compiled.release, degraded.model) if degraded is not None else None
    if degraded is None or component is None or component.ref == deployments[0].ref:
        return list(deployments)
    first = next((one for one in deployments if one.ref == component.ref), None)
    _tell(run, degraded, deployments[0].ref, component.ref)
    others = [one for one in deployments if one is not first]
    return [first or Deployment(component, run.compiled.offers), *others]


def model_in(release: Release, ref: str) -> ModelComponent | None:
    """The release's model of that reference, else the one of that name in another version; None if it has neither."""
    name = ref.partition("@")[0]
    of_name = [one for one in release.models if one.ref.partition("@")[0] == name]
    return next((one for one in of_name if one.ref == ref), of_name[0] if of_name else None)


def degraded_before(events: Iterable[Mapping[str, Any]]) -> DegradedEntry | None:
    """How a run was degraded, by its events: it stays so whoever goes on with it or replays it. None: it was not."""
    data = next((event["data"] for event in events if _says_degraded(event)), None)
    if data is None:
        return None
    return DegradedEntry(model=data["to"], by=data["by"], since=data["since"], reason=data["why"])


def _tell(run: Run, degraded: DegradedEntry, from_ref: str, to: str) -> None:
    if any(one["kind"] == KIND for one in run.fallbacks):
        return
    data = {"kind": KIND, "from": from_ref, "to": to, "why": degraded.reason}
    data |= {"by": degraded.by, "since": degraded.since}
    run.fell_back(data, quiet=run.past is not None and any(map(_says_degraded, run.past.events)))


def _says_degraded(event: Mapping[str, Any]) -> bool:
    return bool(event["type"] == "fallback.used" and event["data"].get("kind") == KIND)
