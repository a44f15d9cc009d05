"""Holds webhook payloads against GitLab's samples: no field that a sample has not, none of another type."""

from collections.abc import Iterator
from typing import Any

from penstock.testing.gitlab.ask import Json
from penstock.testing.gitlab.reference import reference, sample_name

_SAMPLES = {
    "push": "push",
    "merge_request": "merge_request",
    "note": "note_merge_request",
    "pipeline": "pipeline",
    "deployment": "deployment",
}
# What GitLab documents and the samples happen not to show: the former head, sent when a push moved the head.
_UNSHOWN = {("merge_request", "object_attributes.oldrev"): "da1560886d4f094c3e6c9ef40349f7d38b5d27d7"}
_KINDS = ((bool, "boolean"), (int, "number"), (float, "number"), (str, "text"), (list, "list"), (dict, "object"))


def shape_faults(kind: str, payload: Json) -> list[str]:
    """What of a payload the sample of its kind does not have; null may stand for any value.

    Raises `Unavailable` when the sample is missing.
    """
    return list(dict.fromkeys(_compare(kind, payload, reference(sample_name(_SAMPLES[kind])), "")))


def _compare(kind: str, value: Any, sample: Any, place: str) -> Iterator[str]:
    sample = _UNSHOWN.get((kind, place), sample)
    if value is None or sample is None:
        return
    if _kind(value) != _kind(sample):
        yield f"{place}: {_kind(value)}, the sample has {_kind(sample)}"
    elif isinstance(value, dict):
        yield from _compare_fields(kind, value, sample, place)
    elif isinstance(value, list) and value:
        if not sample:
            yield f"{place}: the sample's list is empty"
        # Elements differ in what they show, so they are compared with all of the sample's at once.
        merged = _merged(sample) if sample and isinstance(sample[0], dict) else (sample or [None])[0]
        for one in value:
            yield from _compare(kind, one, merged, f"{place}[]")


def _compare_fields(kind: str, value: Json, sample: Json, place: str) -> Iterator[str]:
    for name, inner in value.items():
        path = f"{place}.{name}".lstrip(".")
        if place == "changes":  # its names are those of the attributes that changed
            if not isinstance(inner, dict) or set(inner) != {"previous", "current"}:
                yield f"{path}: not a previous and a current value"
        elif name not in sample and (kind, path) not in _UNSHOWN:
            yield f"{path}: the sample has no such field"
        else:
            yield from _compare(kind, inner, sample.get(name), path)


def _merged(elements: list[Json]) -> Json:
    merged: Json = {}
    for element in elements:
        merged |= {name: value for name, value in element.items() if value is not None or name not in merged}
    return merged


def _kind(value: Any) -> str:
    return next(name for type_, name in _KINDS if isinstance(value, type_))
