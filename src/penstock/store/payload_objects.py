"""The payload store: payloads that are too large for a row, one object each, found again by an id alone.

The id of a payload says run, role and content: `<run id>.<role>.<32 hex of its SHA-256>`. The object's name is made of
the run's day, the tenant and that id. So nobody reaches what is another tenant's, whatever they guess, and what belongs
to one run is shared by no other: it can go when the run's payloads go.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from penstock.errors import Unavailable
from penstock.store.objects import RemovableStore, StoreUse, open_removable
from penstock.store.run_day import day_of, days_below

PAYLOADS = StoreUse(
    "payload store", "check PENSTOCK_PAYLOADS_URL; the first payload that is large enough makes it", file_mode=0o600
)
UPLOAD = "upload"
"""The role of what a caller left here before a run; its id begins with an id of its own."""
RUNS, UPLOADS = "runs", "uploads"
_REF_ID = re.compile(r"([A-Za-z0-9@_+-]{1,64})\.([a-z0-9-]{1,32})\.([0-9a-f]{32})")
_HEX = 32


@dataclass(frozen=True, slots=True)
class Claim:
    """Stands for a payload where its size keeps it out: where it is, and what it must be."""

    ref_id: str
    object: str
    digest: str
    size_bytes: int

    def as_document(self) -> dict[str, Any]:
        """The claim as a JSON object."""
        return {"refId": self.ref_id, "object": self.object, "digest": self.digest, "bytes": self.size_bytes}

    @classmethod
    def read(cls, document: dict[str, Any]) -> "Claim":
        """The claim that `as_document` wrote."""
        return cls(document["refId"], document["object"], document["digest"], document["bytes"])


class PayloadLost(Unavailable):
    """A payload is gone, or is not what was put there, while a row refers to it."""


class PayloadObjects:
    """The payloads below a folder or object store. Everything raises `Unavailable` when that fails."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store: RemovableStore = open_removable(url, PAYLOADS)

    def put(self, tenant: str | None, owner: str, role: str, data: bytes) -> Claim:
        """Keeps a payload durably; `owner` is the id of its run, or of an upload. Once more is no fault."""
        hexdigest = sha256(data).hexdigest()
        ref_id = f"{owner}.{role}.{hexdigest[:_HEX]}"
        name = _name(ref_id, owner, role, tenant)
        self._store.create(name, data)
        return Claim(ref_id, name, f"sha256:{hexdigest}", len(data))

    def get(self, claim: Claim) -> bytes:
        """What the claim stands for; raises `PayloadLost` where it is gone or is something else."""
        data = self._store.get(claim.object)
        if data is None or f"sha256:{sha256(data).hexdigest()}" != claim.digest:
            what = "a payload is not there" if data is None else "a payload is not what was put there"
            now = "bring the payload store back as it was, or give the run's payloads up: `agentctl purge --run`"
            raise PayloadLost(what, where=f"{self.url}/{claim.object}", now=now)
        return data

    def find(self, ref_id: str, tenant: str | None) -> bytes | None:
        """The payload of that id if it is this tenant's; None otherwise."""
        parts = _REF_ID.fullmatch(ref_id)
        if parts is None:
            return None
        data = self._store.get(_name(ref_id, parts[1], parts[2], tenant))
        if data is None or sha256(data).hexdigest()[:_HEX] != parts[3]:
            return None
        return data

    def of_day(self, kind: str, day: str) -> list[str]:
        """The names of all objects of a day (`2026/11/20`); `kind` is `runs` or `uploads`."""
        return self._store.list(f"{kind}/{day}/")

    def days(self, kind: str) -> list[str]:
        """The days of which there are objects, oldest first."""
        return days_below(self._store, kind)

    def of_run(self, run_id: str) -> list[str]:
        """The names of a run's objects, whether a row refers to them or not."""
        return [name for name in self.of_day(RUNS, day_of(run_id)) if owner_of(name) == run_id]

    def delete(self, names: Iterable[str]) -> None:
        """Removes objects for good."""
        self._store.delete(names)


def owner_of(name: str) -> str:
    """The id of the run that an object belongs to."""
    return name.rpartition("/")[2].partition(".")[0]


def run_of(ref_id: str) -> str | None:
    """The id of the run whose payload an id names; None for an upload's, and for what is no such id."""
    parts = _REF_ID.fullmatch(ref_id)
    return parts[1] if parts is not None and parts[2] != UPLOAD else None


def _name(ref_id: str, owner: str, role: str, tenant: str | None) -> str:
    kind = UPLOADS if role == UPLOAD else RUNS
    return f"{kind}/{day_of(owner)}/{_tenant_folder(tenant)}/{ref_id}"


@lru_cache(maxsize=1024)
def _tenant_folder(tenant: str | None) -> str:
    """Of a digest, since a tenant's name may hold what a path may not; `none` is none of them."""
    return "none" if tenant is None else sha256(tenant.encode()).hexdigest()[:_HEX]
