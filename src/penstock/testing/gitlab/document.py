"""GitLab's OpenAPI document, read and mended: what it says otherwise than GitLab answers, each place with its reason.

A mended place is still judged, by what GitLab really does. The lists are as narrow as can be; a test says when one of
them is no longer needed.
"""

import copy
import re
from dataclasses import dataclass
from typing import Any

from penstock.testing.gitlab.ask import Json

API = "/api/v4"
_PROJECT = f"{API}/projects/{{id}}"
_MERGE_REQUEST = f"{_PROJECT}/merge_requests/{{merge_request_iid}}"
_TEXT = {"type": "string"}

# Paths that GitLab has and this subset of its document has not: users and emoji.
OUTSIDE = tuple(
    re.compile(pattern)
    for pattern in (
        r"/users(/\d+)?",
        r"/projects/[^/]+/merge_requests/\d+/notes/\d+/award_emoji(/\d+)?",
    )
)


@dataclass(frozen=True)
class MendedField:
    """A field of an entity that has another type than the document says."""

    entity: str
    name: str
    schema: Json
    reason: str


@dataclass(frozen=True)
class MendedQuery:
    """A query parameter that an operation takes and the document does not name."""

    method: str
    path: str
    name: str
    schema: Json
    reason: str


@dataclass(frozen=True)
class MendedStatus:
    """A status that an operation answers and the document does not name."""

    method: str
    path: str
    status: int
    reason: str


FIELDS = (
    MendedField("APIEntitiesMember", "access_level", {"type": "integer"}, "a level is a number: 10, 20, 30, 40, 50"),
    MendedField(
        "APIEntitiesMergeRequestApprovals",
        "approved_by",
        {"type": "array", "items": {"$ref": "#/components/schemas/APIEntitiesApprovals"}},
        "any number of people may approve; the document shows one of them",
    ),
)
QUERIES = (
    MendedQuery(
        "put", f"{_MERGE_REQUEST}/merge", "sha", _TEXT, "Grape takes it from query or body; clients use either"
    ),
    MendedQuery(
        "put",
        f"{_MERGE_REQUEST}/merge",
        "squash",
        {"type": "string", "enum": ["true", "false", "True", "False", "1", "0"]},
        "as sha",
    ),
    MendedQuery(
        "get",
        f"{_PROJECT}/repository/branches",
        "pagination",
        {"type": "string", "enum": ["keyset"]},
        "page_token beside it is documented and does nothing without it",
    ),
)
STATUSES = (
    MendedStatus(
        "post", f"{_MERGE_REQUEST}/approve", 409, "sha in the body is documented, what a wrong one does is not"
    ),
)


def mended(given: Json) -> Json:
    """A copy of the document in which the known faults are mended."""
    made = copy.deepcopy(given)
    for field in FIELDS:
        made["components"]["schemas"][field.entity]["properties"][field.name] = field.schema
    for query in QUERIES:
        parameter = {"in": "query", "name": query.name, "schema": query.schema}
        made["paths"][query.path][query.method].setdefault("parameters", []).append(parameter)
    for status in STATUSES:
        made["paths"][status.path][status.method]["responses"][str(status.status)] = {"description": status.reason}
    _mend_nulls(made, made["components"]["schemas"])
    return made


def _mend_nulls(node: Any, schemas: Json) -> None:
    """`allOf` one entity beside `nullable` is meant as "this entity or null"; OpenAPI 3.0 reads it as never null.

    The entity gets a twin that may be null, and the place refers to that.
    """
    for value in list(node.values()) if isinstance(node, dict) else node:
        if isinstance(value, dict) and value.get("nullable") and len(value.get("allOf", ())) == 1:
            name = value["allOf"][0]["$ref"].rpartition("/")[2]
            twin = f"{name}OrNull"
            if twin not in schemas:
                schemas[twin] = copy.deepcopy(schemas[name]) | {"nullable": True}
                _mend_nulls(schemas[twin], schemas)
            value.clear()
            value["$ref"] = f"#/components/schemas/{twin}"
        elif isinstance(value, dict | list):
            _mend_nulls(value, schemas)
