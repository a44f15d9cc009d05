"""JSON Schemas of everything that people write and machines exchange."""

from typing import Any

from pydantic import BaseModel

from penstock.contracts.agent import Agent
from penstock.contracts.dataset import Dataset
from penstock.contracts.eval_suite import EvalSuite
from penstock.contracts.event import RunEvent
from penstock.contracts.evidence import Approval, Evidence, Request
from penstock.contracts.gate_result import GateResult
from penstock.contracts.json_schema import DIALECT
from penstock.contracts.model import Model
from penstock.contracts.operations import Operations
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Policy
from penstock.contracts.prompt import Prompt
from penstock.contracts.release import Release
from penstock.contracts.routing_table import RoutingTable
from penstock.contracts.runtime import Runtime
from penstock.contracts.span import TraceSpan
from penstock.contracts.stages import Stages
from penstock.contracts.suite import ContractSuite
from penstock.contracts.team import Retired, Teams
from penstock.contracts.tool import Tool
from penstock.errors import NotFound

KINDS: dict[str, type[BaseModel]] = {
    model.__name__: model
    for model in (
        *(Agent, Prompt, Tool, Policy, Model, Runtime, Pipeline, Operations, Stages, Teams, Retired),
        *(ContractSuite, Dataset, EvalSuite),
        *(Release, RoutingTable, RunEvent, TraceSpan, GateResult, Evidence, Approval, Request),
    )
}


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind (`Agent`, `RoutingTable`, in any case); raises `NotFound` with the kinds known."""
    known = {name.lower(): name for name in KINDS}
    name = known.get(kind.lower())
    if name is None:
        raise NotFound(f"no kind {kind!r}", now=f"kinds: {', '.join(KINDS)}")
    return {"$schema": DIALECT, **KINDS[name].model_json_schema(by_alias=True)}


def file_name(kind: str) -> str:
    """The name of a kind's schema in schemas/: `RoutingTable` is routing-table.json."""
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind)
    return f"{words.removeprefix('-')}.json"
