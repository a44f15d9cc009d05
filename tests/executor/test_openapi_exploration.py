"""Every route of /openapi.json, asked with what fits it and with what does not: each answer is one that it describes.

Schemathesis makes the requests, the same in each run; the executor is a process of its own.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from penstock.testing.executor_world import Running

EXAMPLES = 12
PATIENCE_S = 20.0
CONFORMS: list[Any] = [status_code_conformance, content_type_conformance, response_schema_conformance]
ROUTES = 26
BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schemathesis.serializer("application/jsonl")
def lines(_: object, value: Any) -> bytes:
    """A body of JSON lines, which the schema says is a text; what is none goes out as JSON."""
    return (value if isinstance(value, str) else json.dumps(value)).encode()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.fixture
def known(executor: Running) -> dict[str, str]:
    """Ids of things that are there, by the name of the parameter that asks for them."""
    large = json.dumps({"text": "x" * 70_000})
    with executor.client() as client:
        run = client.post("/v1/agents/talk/runs", json={"input": {"text": "known"}, "sessionId": "known"})
        batch = client.post("/v1/agents/echo/batches", content=b'{"text": "known"}\n')
        payload = client.post("/v1/payloads", content=large)
        return {
            "agent": "echo",
            "run_id": run.json()["runId"],
            "session_id": "known",
            "batch": batch.json()["batchId"],
            "ref_id": payload.json()["contextRefId"],
        }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_every_answer_is_one_that_its_route_describes(
    executor: Running, known: dict[str, str], session: requests.Session, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"{executor.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == ROUTES
    faults = []
    for operation in operations:
        try:
            with contextlib.suppress(Unsatisfiable):  # any text will do there: nothing does not fit
                explore(operation, known, session, mode)
        except (Exception, FailureGroup) as fault:  # all of them are told at once
            told = getattr(fault, "exceptions", [fault])
            faults += [f"{operation.label}: {one}" for one in told]
    assert not faults, "\n".join(faults)


def explore(
    operation: APIOperation[Any, Any, Any, Any],
    known: dict[str, str],
    session: requests.Session,
    mode: GenerationMode,
) -> None:
    """Asks one route; raises at the first answer that is none of its own."""

    @BOUNDED
    @given(case=operation.as_strategy(mode), of_known=st.booleans())
    def ask(case: schemathesis.Case[Any], of_known: bool) -> None:
        if of_known and case.path_parameters:
            case.path_parameters |= {name: known[name] for name in case.path_parameters.keys() & known.keys()}
        if of_known and isinstance(case.body, dict) and "input" in case.body:
            case.body |= {"input": {"text": "explored"}}
        answer = case.call(session=session, timeout=PATIENCE_S)
        assert answer.status_code < 500 or answer.status_code == 503, f"{answer.status_code}: {answer.text}"
        case.validate_response(answer, checks=CONFORMS)

    ask()
