"""Events that wait to be sent to webhooks, and the record of what was sent."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from penstock.testing.gitlab.ask import Json

EVENTS = {
    "push": "Push Hook",
    "merge_request": "Merge Request Hook",
    "note": "Note Hook",
    "pipeline": "Pipeline Hook",
    "deployment": "Deployment Hook",
}
SWITCHES = {
    "push": "push_events",
    "merge_request": "merge_requests_events",
    "note": "note_events",
    "pipeline": "pipeline_events",
    "deployment": "deployment_events",
}


@dataclass
class Hook:
    """A webhook of the project; `switches` says which kinds of events it wants (`push_events`, ...)."""

    id: int
    url: str
    created_at: datetime
    token: str = ""
    signing_token: str = ""
    switches: dict[str, bool] = field(default_factory=dict)

    def wants(self, kind: str) -> bool:
        """Whether it is to be told of that kind of event."""
        return self.switches.get(SWITCHES[kind], kind == "push")


@dataclass
class Delivery:
    """One event on its way to one webhook.

    `status` is the HTTP status that the receiver answered, None while it waits; `failure` says why there is none.
    `lost` is true for an event that the fake was told to lose.
    """

    hook: Hook
    kind: str
    payload: Json
    key: str
    event_uuid: str
    status: int | None = None
    failure: str = ""
    lost: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""


@dataclass
class Outbox:
    """The webhooks, what waits for them (oldest first), and everything that was sent or lost."""

    hooks: list[Hook] = field(default_factory=list)
    waiting: deque[Delivery] = field(default_factory=deque)
    sent: list[Delivery] = field(default_factory=list)
