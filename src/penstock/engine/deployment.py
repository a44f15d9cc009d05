"""Deployment: one model that a release may ask, with the canonical form of its requests prepared."""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.contracts.canonical import canonical, digest_bytes
from penstock.contracts.model import ModelSpec
from penstock.contracts.release import ModelComponent
from penstock.engine.cost_bound import cost_bound
from penstock.pal import Message, ToolOffer


class Deployment:
    """A pinned model. `offers` are the release's tools: requests with them share what never changes."""

    def __init__(self, component: ModelComponent, offers: tuple[ToolOffer, ...]) -> None:
        self.ref = component.ref
        self.name = component.name
        self.spec: ModelSpec = component.spec
        self._bound = cost_bound(component.spec)
        self._offers = offers
        self._tails: dict[tuple[int, int], tuple[Any, Any, bytes]] = {}

    def request(
        self, messages: Sequence[Message], tools: Sequence[ToolOffer], response_format: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The platform's canonical model request."""
        return {
            "modelRef": self.ref,
            "parameters": self.spec.parameters,
            "messages": list(messages),
            "tools": [tool.as_function() for tool in tools],
            "responseFormat": response_format,
        }

    def most_usd(
        self, messages: Sequence[Message], tools: Sequence[ToolOffer], response_format: Mapping[str, Any] | None
    ) -> float | None:
        """The most that one call with this request can cost, USD; None where the price is unknown."""
        if self._bound is None:
            return None
        return self._bound.usd(len(canonical(messages)) + len(self._tail(tools, response_format)))

    def request_digest(
        self, messages: Sequence[Message], tools: Sequence[ToolOffer], response_format: Mapping[str, Any] | None
    ) -> str:
        """The digest of the canonical model request, without stream, timeout, credentials and metadata.

        Only the messages differ from call to call: the rest of the text is kept for the tools and format in use.
        """
        return digest_bytes(b'{"messages":' + canonical(messages) + self._tail(tools, response_format))

    def _tail(self, tools: Sequence[ToolOffer], response_format: Mapping[str, Any] | None) -> bytes:
        known = self._tails.get((id(tools), id(response_format)))
        if known is not None:
            return known[2]
        request = self.request((), tools, response_format)
        del request["messages"]
        tail = b"," + canonical(request)[1:]  # "messages" sorts before all other keys
        if tools is self._offers or not tools:
            # what outlives a call; the objects are kept, so their ids stay theirs
            self._tails[id(tools), id(response_format)] = (tools, response_format, tail)
        return tail
