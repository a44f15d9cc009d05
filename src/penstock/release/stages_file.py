"""The stages file of one agent: read strictly, written so that equal stages are equal bytes."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from penstock.contracts.document import API_VERSION
from penstock.contracts.routing_table import AgentRoutes, Entry
from penstock.contracts.stages import Stages, StagesSpec
from penstock.errors import Invalid
from penstock.registry.layout import STAGES_FOLDER
from penstock.registry.strict_yaml import parse
from penstock.release.lifecycle import EMPTY

FIELDS = tuple(field.alias or name for name, field in StagesSpec.model_fields.items())

# Words that YAML reads as text whoever reads them: anything else is written in quotes.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def stages_path(agent: str) -> str:
    """Where an agent's stages file is."""
    return f"{STAGES_FOLDER}{agent}.yaml"


def read_stages(data: bytes | None, where: str) -> StagesSpec:
    """What a stages file says; nothing stands anywhere if there is none. Raises `Invalid`."""
    if data is None:
        return EMPTY
    try:
        value, problems = parse(data.decode("utf-8"))
        if not problems:
            return Stages.model_validate(value).spec
        what = "; ".join(str(problem) for problem in problems)
    except (UnicodeDecodeError, ValidationError) as error:
        what = " ".join(str(error).split())
    raise Invalid(f"is no stages file: {what}", where=where, now="`agentctl reconcile` shows the commit that broke it")


def write_stages(agent: str, spec: StagesSpec) -> bytes:
    """The file's bytes: one field a line, lists an item a line, always in the same order."""
    lines = [f"apiVersion: {API_VERSION}", "kind: Stages", f"metadata: {{name: {_flow(agent)}}}", "spec:"]
    document = spec.as_document()
    if document["canary"] is not None and not document["canary"]["began"]:
        del document["canary"]["began"]
    if document["degraded"] is None:  # a file that was written before there was the field keeps its bytes
        del document["degraded"]
    for field in filter(document.__contains__, FIELDS):
        value = document[field]
        if isinstance(value, list) and value:
            lines += [f"  {field}:", *(f"    - {_flow(item)}" for item in value)]
        else:
            lines.append(f"  {field}: {_flow(value)}")
    return ("\n".join(lines) + "\n").encode()


def stages_of(routes: AgentRoutes) -> StagesSpec:
    """The stages that a table's entry says, its overlay applied."""
    document: dict[str, Any] = {
        "status": routes.status,
        "dev": [_standing(one) for one in routes.dev],
        "prod": _standing(routes.prod),
        "previous": _standing(routes.previous),
        "draining": [{**_known(one), "until": one.until} for one in routes.draining],
        "deprecated": list(routes.deprecated),
        "disabled": list(routes.disabled),
        "quarantined": list(routes.quarantined),
        "hold": routes.hold,
        "degraded": routes.degraded.as_document() if routes.degraded is not None else None,
    }
    if routes.canary is not None:
        one = routes.canary
        head = {**_known(one), "step": one.step, "weightBp": one.weight_bp, "since": one.since}
        document["canary"] = {**head, "allow": dict(one.allow), "began": one.began}
    return StagesSpec.model_validate(document)


def stages_value(field: str, value: Any) -> Any:
    """A field of `StagesSpec` from the value that an overlay puts in place of a table's field."""
    document = _without_releases(value)
    if field == "canary" and document is not None:
        document = {key: value for key, value in document.items() if key != "salt"}
    return getattr(StagesSpec.model_validate({field: document}), _NAMES[field])


_NAMES = {field.alias or name: name for name, field in StagesSpec.model_fields.items()}


def _without_releases(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_releases(item) for item in value]
    if isinstance(value, Mapping):
        return {key: item for key, item in value.items() if key != "release"}
    return value


def _standing(entry: Entry | None) -> dict[str, str] | None:
    return None if entry is None else _known(entry)


def _known(entry: Entry) -> dict[str, str]:
    return {"version": entry.version, "runtime": entry.runtime}


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return "".join(map(_shown, json.dumps(value, ensure_ascii=False)))


def _shown(character: str) -> str:
    """A character as double-quoted YAML holds it; what YAML takes for a line break or for unprintable is escaped."""
    return character if character.isprintable() else f"\\U{ord(character):08x}"
