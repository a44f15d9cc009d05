"""Where a version stands: pure moves of a stages file, each of which keeps every version in exactly one place.

Draining stands apart: it names versions that still answer the sessions that are on them. A move that makes no sense
raises `Refused` with one sentence; nothing here reads a clock, a store or Git.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from penstock.contracts.stages import CanaryStanding, Degraded, Draining, Hold, StagesSpec, Standing
from penstock.errors import Refused
from penstock.release.canary_step import Share

EMPTY = StagesSpec.model_validate({})


def places(spec: StagesSpec) -> dict[str, list[str]]:
    """Version -> the places where it stands, draining apart."""
    found: dict[str, list[str]] = {}
    for place, version in _standing(spec):
        found.setdefault(version, []).append(place)
    return found


def place_of(spec: StagesSpec, version: str) -> str | None:
    """Where a version stands; None if it stands nowhere."""
    return next(iter(places(spec).get(version, ())), None)


def standing(version: str, runtime: str) -> Standing:
    """A version on a runtime."""
    return Standing.model_validate({"version": version, "runtime": runtime})


def to_dev(spec: StagesSpec, new: Standing) -> StagesSpec:
    """A merged version is appended to dev."""
    place = place_of(spec, new.version)
    if place is not None:
        raise Refused(f"{new.version} stands in {place} already")
    return _with(spec, dev=[*spec.dev, new])


def to_canary(spec: StagesSpec, version: str, share: Share, since: str) -> StagesSpec:
    """From dev to the first step of a canary; a canary that it replaces goes back to dev."""
    found = _in_dev(spec, version, "canary")
    canary = _at_step(found, share, since, began="")
    dev = [one for one in spec.dev if one.version != version]
    return _with(spec, dev=[*dev, *_plain(spec.canary)], canary=canary)


def advance(spec: StagesSpec, share: Share, since: str) -> StagesSpec:
    """The canary from its step to the next one; its release, so its salt, stays: nobody who met it is thrown back."""
    canary = spec.canary
    if canary is None:
        raise Refused("there is no canary to go on with")
    if share.step != canary.step + 1:
        raise Refused(f"the canary stands at step {canary.step}: step {share.step} is not the next")
    return _with(spec, canary=_at_step(canary, share, since, began=canary.began or canary.since))


def to_prod(spec: StagesSpec, version: str, *, until: str, now: str) -> StagesSpec:
    """From canary to prod; prod -> previous and draining until `until`, previous -> deprecated.

    What had drained at `now` is no longer named; both times are RFC 3339 in UTC with microseconds, so that they sort.
    """
    if spec.canary is None or spec.canary.version != version:
        raise Refused(f"{version} stands in {place_of(spec, version) or 'no stage'}: only the canary goes to prod")
    replaced = [Draining.model_validate({**one.as_document(), "until": until}) for one in _plain(spec.prod)]
    gone = {version, *(one.version for one in replaced)}
    return _with(
        spec,
        canary=None,
        prod=standing(version, spec.canary.runtime),
        previous=spec.prod,
        deprecated=_append(spec.deprecated, (one.version for one in _plain(spec.previous))),
        draining=[*(one for one in spec.draining if one.version not in gone and one.until > now), *replaced],
    )


def roll_back_canary(spec: StagesSpec) -> StagesSpec:
    """From canary to dev; prod stays."""
    if spec.canary is None:
        raise Refused("there is no canary to roll back")
    return _with(spec, canary=None, dev=[*spec.dev, *_plain(spec.canary)])


def roll_back_prod(spec: StagesSpec, to: Standing | None = None) -> StagesSpec:
    """From prod to dev; canary -> dev, previous (or `to`) -> prod, previous null.

    A previous that `to` passes over goes to deprecated: it stood in prod, so that a later `--to` may name it.
    """
    target = to or spec.previous
    if spec.prod is None:
        raise Refused("nothing stands in prod")
    if target is None:
        raise Refused("there is no previous version to go back to")
    if target.version == spec.prod.version:
        raise Refused(f"{target.version} stands in prod already")
    passed_over = [one.version for one in _plain(spec.previous) if one.version != target.version]
    back = [*_plain(spec.prod), *_plain(spec.canary)]
    return _with(
        spec,
        prod=standing(target.version, target.runtime),
        canary=None,
        previous=None,
        dev=[one for one in [*spec.dev, *back] if one.version != target.version],
        deprecated=_append([one for one in spec.deprecated if one != target.version], passed_over),
        draining=[one for one in spec.draining if one.version != target.version],
    )


def hold(spec: StagesSpec, by: str, since: str, reason: str) -> StagesSpec:
    """Nothing automatic and no promotion happens until `unhold`; a hold that stands already is replaced."""
    return _with(spec, hold=Hold.model_validate({"by": by, "since": since, "reason": reason}))


def unhold(spec: StagesSpec) -> StagesSpec:
    """Lifts the hold."""
    if spec.hold is None:
        raise Refused("there is no hold to lift")
    return _with(spec, hold=None)


def quarantine(spec: StagesSpec, release: str) -> StagesSpec:
    """The release answers nobody and is not promoted until `unquarantine`."""
    return _with(spec, quarantined=_append(spec.quarantined, [release]))


def unquarantine(spec: StagesSpec, release: str) -> StagesSpec:
    """Lifts the quarantine of one release."""
    if release not in spec.quarantined:
        raise Refused(f"{release} is not quarantined")
    return _with(spec, quarantined=[one for one in spec.quarantined if one != release])


def freeze(spec: StagesSpec) -> StagesSpec:
    """The agent takes no new run."""
    if spec.status != "active":
        raise Refused(f"it is {spec.status} already")
    return _with(spec, status="frozen")


def thaw(spec: StagesSpec) -> StagesSpec:
    """The agent takes new runs again, whether it was frozen or disabled."""
    if spec.status == "active":
        raise Refused("it is active: there is nothing to thaw")
    return _with(spec, status="active")


def disable_agent(spec: StagesSpec) -> StagesSpec:
    """The whole agent takes no new run: its end of life."""
    if spec.status == "disabled":
        raise Refused("it is disabled already")
    return _with(spec, status="disabled")


def degrade(spec: StagesSpec, degraded: Degraded) -> StagesSpec:
    """Runs ask another model of the release first; what was said before is replaced."""
    if spec.degraded is not None and spec.degraded.model == degraded.model:
        raise Refused(f"it is degraded to {degraded.model} already")
    return _with(spec, degraded=degraded)


def undegrade(spec: StagesSpec) -> StagesSpec:
    """Runs ask the release's models in its own order again."""
    if spec.degraded is None:
        raise Refused("it is not degraded")
    return _with(spec, degraded=None)


def deprecate(spec: StagesSpec, version: str) -> StagesSpec:
    """From dev, previous or nowhere to deprecated."""
    place = place_of(spec, version)
    if place not in {"dev", "previous", None}:
        raise Refused(_in_the_way(version, place, "deprecated"))
    return _with(_without(spec, version), deprecated=_append(spec.deprecated, [version]))


def disable(spec: StagesSpec, version: str) -> StagesSpec:
    """Anywhere but prod -> disabled; sessions that drain on it move at once."""
    place = place_of(spec, version)
    if place in {"prod", "disabled"}:
        raise Refused(_in_the_way(version, place, "disabled"))
    rest = _without(spec, version)
    draining = [one for one in rest.draining if one.version != version]
    return _with(rest, disabled=_append(rest.disabled, [version]), draining=draining)


def settle(spec: StagesSpec, changes: dict[str, Any], add: Iterable[str], remove: Iterable[str]) -> StagesSpec:
    """Fields put in place whole, over a file that may have moved meanwhile; no version is lost or stands twice.

    What `changes` places stands there and nowhere else; what stood somewhere and would stand nowhere goes to dev.
    """
    runtimes = {one.version: one for one in _standings(spec)}
    gone = set(remove)
    quarantined = [one for one in _append(spec.quarantined, add) if one not in gone]
    placed = {version for place, version in _standing(_with(EMPTY, **changes)) if place in changes}
    rest = spec
    for version in placed:
        rest = _without(rest, version, keep=frozenset(changes))
    after = _with(rest, **changes, quarantined=quarantined)
    lost = [version for version in places(spec) if place_of(after, version) is None]
    return _with(
        after,
        dev=[*after.dev, *(standing(version, runtimes[version].runtime) for version in lost if version in runtimes)],
        deprecated=_append(after.deprecated, (version for version in spec.deprecated if version in lost)),
        disabled=_append(after.disabled, (version for version in spec.disabled if version in lost)),
    )


def _at_step(standing_: Standing, share: Share, since: str, *, began: str) -> CanaryStanding:
    return CanaryStanding.model_validate(
        {
            "version": standing_.version,
            "runtime": standing_.runtime,
            "step": share.step,
            "weightBp": share.weight_bp,
            "since": since,
            "allow": share.allow.as_document(),
            "began": began,
        }
    )


def _standing(spec: StagesSpec) -> list[tuple[str, str]]:
    single = [("canary", spec.canary), ("prod", spec.prod), ("previous", spec.previous)]
    return [
        *(("dev", one.version) for one in spec.dev),
        *((place, one.version) for place, one in single if one is not None),
        *(("deprecated", version) for version in spec.deprecated),
        *(("disabled", version) for version in spec.disabled),
    ]


def _standings(spec: StagesSpec) -> list[Standing]:
    return [*spec.dev, *_plain(spec.canary), *_plain(spec.prod), *_plain(spec.previous)]


def _without(spec: StagesSpec, version: str, keep: frozenset[str] = frozenset()) -> StagesSpec:
    changes: dict[str, Any] = {}
    for place in ("canary", "prod", "previous"):
        found = getattr(spec, place)
        if place not in keep and found is not None and found.version == version:
            changes[place] = None
    if "dev" not in keep:
        changes["dev"] = [one for one in spec.dev if one.version != version]
    for place in ("deprecated", "disabled"):
        if place not in keep:
            changes[place] = [one for one in getattr(spec, place) if one != version]
    return _with(spec, **changes)


def _in_dev(spec: StagesSpec, version: str, target: str) -> Standing:
    found = next((one for one in spec.dev if one.version == version), None)
    if found is None:
        raise Refused(f"{version} stands in {place_of(spec, version) or 'no stage'}: only dev goes to {target}")
    return found


def _in_the_way(version: str, place: str | None, target: str) -> str:
    if place == target:
        return f"{version} is {target} already"
    return f"{version} stands in {place}: roll back or promote another before it is {target}"


def _plain(found: Standing | None) -> list[Standing]:
    return [] if found is None else [standing(found.version, found.runtime)]


def _append(known: Sequence[str], more: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*known, *more]))


def _with(spec: StagesSpec, **changes: Any) -> StagesSpec:
    return spec.model_copy(update=changes)
