from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.contracts.model import Price, Transport
from penstock.pal import ModelCall
from penstock.testing.model_server import ModelServer

MESSAGES = [
    {"role": "system", "content": "Answer about the requirement. Use find-related if it is offered."},
    {"role": "user", "content": "The user can log in within 5 seconds. " * 6},
]
PRICE = Price.model_validate({"inputUsdPer1M": 1.0, "outputUsdPer1M": 2.0})


@pytest.fixture(scope="module")
def model_server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(params=["litellm", "openai-compatible"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Both transports, one after the other."""
    chosen: Transport = request.param
    return chosen


@pytest.fixture
def over_http(model_server: ModelServer, transport: Transport) -> Callable[..., ModelCall]:
    """A call of the scripted model over HTTP, with the faults named; the transport gets the model's name in its way."""
    provider = "openai/" if transport == "litellm" else ""

    def make(fault: str = "", name: str = "qa-rules", **changes: Any) -> ModelCall:
        values: dict[str, Any] = {
            "ref": "models/wire@1.0.0",
            "model": f"{provider}{name}{'+' if fault else ''}{fault}",
            "transport": transport,
            "parameters": model_server.parameters,
            "price": PRICE,
            "messages": MESSAGES,
            "timeout_s": 20.0,
        }
        return ModelCall(**{**values, **changes})

    return make
