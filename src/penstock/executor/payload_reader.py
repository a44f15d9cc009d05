"""Payloads by their ids, as their own tenant may see them: what a caller left here, and what its runs said."""

import contextlib
from hashlib import sha256
from typing import Any

import orjson
import uuid_utils

from penstock.errors import NotFound, PenstockError, Unavailable
from penstock.executor.database_link import DatabaseLink
from penstock.executor.json_body import parse_body
from penstock.settings import Settings
from penstock.store.depots import Depots
from penstock.store.objects import StoreMissing
from penstock.store.payload_objects import UPLOAD, Claim, run_of
from penstock.store.payloads import PayloadRows
from penstock.store.runs import RunStore

_HEX = 32


class PayloadReader:
    """Looks payloads up, and takes uploads in; blocks. What is another tenant's does not exist: `NotFound`."""

    def __init__(self, settings: Settings, link: DatabaseLink) -> None:
        self._depots = Depots(settings.payloads, settings.archive)
        self._link = link

    def put(self, body: bytes, tenant: str | None) -> Claim:
        """Keeps a JSON value for runs to come; raises `WrongUse` for what is none, `Unavailable`."""
        data = orjson.dumps(parse_body(body, "the input as JSON"))
        return self._depots.payloads.put(tenant, str(uuid_utils.uuid7()), UPLOAD, data)

    def input(self, ref_id: str, tenant: str | None) -> Any:
        """The payload as the input of a run."""
        return orjson.loads(self.read(ref_id, tenant))

    def fetch(self, claim: Claim) -> Any:
        """What the claim stands for; raises `Unavailable` when the payload store is away or has lost it."""
        return orjson.loads(self._depots.payloads.get(claim))

    def read(self, ref_id: str, tenant: str | None) -> bytes:
        """The payload of that id as JSON; raises `NotFound`, or `Unavailable` when what may have it is away."""
        run_id = run_of(ref_id)
        if run_id is not None and self._is_deleted(run_id):
            raise _unknown(ref_id)
        data = None
        with contextlib.suppress(StoreMissing):  # nothing was ever put there
            data = self._depots.payloads.find(ref_id, tenant)
        if data is None and run_id is not None:
            data = self._archived(run_id, ref_id, tenant)
        if data is None:
            raise _unknown(ref_id)
        return data

    def _is_deleted(self, run_id: str) -> bool:
        try:
            return PayloadRows(self._link.database).is_deleted(run_id)
        except Unavailable:  # without the database the object alone says whether it is there
            return False

    def _archived(self, run_id: str, ref_id: str, tenant: str | None) -> bytes | None:
        """The payload of a run whose object has gone already, from the archive."""
        runs = RunStore(self._link.database)
        row = runs.run(run_id)
        if row is None or row.get("tenant") != tenant:
            return None
        _, ref, hexdigest = ref_id.split(".")
        for payload in runs.payloads(run_id):
            data = orjson.dumps(payload.body)
            if payload.ref == ref and sha256(data).hexdigest()[:_HEX] == hexdigest:
                return data
        return None


def _unknown(ref_id: str) -> PenstockError:
    return NotFound("there is no such payload", where=f"payload {ref_id}", now="check the id and X-Penstock-Tenant")
