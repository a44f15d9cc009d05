"""ToolContext: what a tool is given beside its arguments."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The second argument of a tool's function.

    `deadline` is on this process's monotonic clock, seconds: the call is ended then, whatever it does.
    `idempotency_key` is the same when a call is repeated after a crash. `secrets` holds exactly the secrets that the
    tool declares, by name. `params` is what the agent set beside the tool's reference.
    `traceparent` is the header of W3C trace context for whatever the tool calls, None outside of a run.
    """

    call_id: str
    idempotency_key: str
    deadline: float
    params: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    traceparent: str | None = None
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("penstock.tool"))

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline, 0 once it is over."""
        return max(0.0, self.deadline - time.monotonic())
