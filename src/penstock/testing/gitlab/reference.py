"""GitLab's own papers, which are not part of Penstock: they lie in the folder that PENSTOCK_TEST_DATA names."""

import json
import os
from functools import cache
from pathlib import Path

from penstock.errors import Unavailable
from penstock.testing.gitlab.ask import Json

DOCUMENT = "gitlab-openapi/openapi_v3-trim-strict.json"


def sample_name(kind: str) -> str:
    """Where in the folder the sample of a webhook's payload lies."""
    return f"gitlab-webhooks/{kind}.json"


def reference(name: str) -> Json:
    """What one of the papers says; raises `Unavailable` when it is missing."""
    folder = os.environ.get("PENSTOCK_TEST_DATA", "")
    path = Path(folder) / name
    if not folder or not path.is_file():
        raise Unavailable(f"{name} is missing", where=folder or "PENSTOCK_TEST_DATA", now="set PENSTOCK_TEST_DATA")
    return _read(path)


@cache
def _read(path: Path) -> Json:
    found: Json = json.loads(path.read_text("utf-8"))
    return found
