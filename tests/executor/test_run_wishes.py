"""What a request says of complexity and caches reaches the run, at once or by way of the queue."""

import contextlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from penstock.errors import Unavailable
from penstock.executor.intake import new_run
from penstock.executor.order import Identity, RunOrder
from penstock.executor.run_route import RunRoute


class Taking:
    """What the route asks of an executor; it notes the order and takes no run."""

    is_draining = False

    def __init__(self) -> None:
        self.orders: list[RunOrder] = []

    @contextlib.contextmanager
    def in_flight(self) -> Iterator[None]:
        yield

    async def with_input(self, order: RunOrder, identity: Identity) -> RunOrder:
        return order

    async def submit(self, agent: str, identity: Identity, order: RunOrder, *_: Any) -> None:
        self.orders.append(order)
        raise Unavailable("this executor only listens")


async def sent(body: dict[str, Any], *headers: tuple[bytes, bytes]) -> RunOrder:
    """The order that comes of a request."""
    executor: Any = Taking()
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": orjson.dumps(body), "more_body": False}

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "headers": list(headers), "query_string": b"", "path_params": {"agent": "echo"}}
    await RunRoute(executor)(scope, receive, send)
    assert answers[0]["status"] == 503
    [order] = executor.orders
    taken: RunOrder = order
    return taken


async def test_the_route_reads_both() -> None:
    plain = await sent({"input": "x"})
    assert (plain.complexity, plain.uses_cache) == (None, True)
    wished = await sent({"input": "x", "complexity": "simple"}, (b"cache-control", b"no-cache"))
    assert (wished.complexity, wished.uses_cache) == ("simple", False)


@pytest.mark.parametrize(("complexity", "uses_cache"), [(None, True), ("complex", False)])
def test_the_queue_keeps_both(complexity: Any, uses_cache: bool) -> None:
    from types import SimpleNamespace

    from penstock.executor.worker import _caller

    order = RunOrder("x", complexity=complexity, uses_cache=uses_cache)
    queued: Any = SimpleNamespace(order=new_run(Identity("acme", None), order).order, tenant="acme", run_id="r")
    caller = _caller(queued)
    assert (caller.complexity, caller.uses_cache) == (complexity, uses_cache)
