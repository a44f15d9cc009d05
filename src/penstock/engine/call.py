"""RunCall: everything that one run is made of, decided before it starts."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import uuid_utils

from penstock.contracts.event import Mode
from penstock.contracts.model_choice import Complexity
from penstock.contracts.release import Release
from penstock.contracts.routing_table import DegradedEntry
from penstock.engine.journal import Journal
from penstock.engine.lease import RunLease
from penstock.pal import Message


def new_run_id() -> str:
    """A fresh run id: UUID version 7, so that ids sort by time."""
    return str(uuid_utils.uuid7())


def new_trace_id() -> str:
    """A fresh W3C trace id, 32 hex digits."""
    return f"{random.getrandbits(128):032x}"


def new_span_id() -> str:
    """A fresh W3C span id, 16 hex digits."""
    return f"{random.getrandbits(64):016x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCall:
    """One run to be made.

    `runtime` names a declaration; `history` is the session's, oldest first; `fixtures` are results of writing tools by
    tool name, in order (mode eval); `journal` answers all calls of a replay. Outside of live, policies see stage dev.
    `routed_by` is the route's reason, None where no route chose the release. `is_batch` = others go first. A `lease` is
    of a queued run: another process may go on with it, or it goes on where another stopped. `complexity` is what the
    caller says of the task, None where he says nothing; without `uses_cache` no cache is read or written.
    `degraded` names the model that is asked first.
    """

    release: Release
    prompt_body: bytes
    runtime: str
    input: Any
    stage: str = "dev"
    mode: Mode = "live"
    run_id: str = field(default_factory=new_run_id)
    tenant: str | None = None
    user: str | None = None
    session_id: str | None = None
    trace_id: str = field(default_factory=new_trace_id)
    parent_span_id: str | None = None
    history: tuple[Message, ...] = ()
    stream: bool = False
    fixtures: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    journal: Journal | None = None
    routed_by: str | None = None
    lease: RunLease | None = None
    is_batch: bool = False
    complexity: Complexity | None = None
    uses_cache: bool = True
    degraded: DegradedEntry | None = None

    @property
    def effective_stage(self) -> str:
        """The stage that policies and events see."""
        return self.stage if self.mode == "live" else "dev"
