"""PostgreSQL, Redis, the model server and executors fail under load, one after the other and together.

The plan is drawn by a seed: `plan(SEED, n)` goes on where this one ends, and `make soak` runs more of it.
"""

from collections.abc import Iterator, Sequence
from typing import get_args

import pytest

from penstock.testing.fault_plan import Scenario, plan
from penstock.testing.fault_world import Fault, FaultWorld, Part

pytestmark = pytest.mark.servers
SEED = 4053
SCENARIOS = plan(SEED, 6)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultWorld]:
    """Every part as a process of its own, for all scenarios: what one leaves behind, the next begins with."""
    with FaultWorld(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.mark.parametrize("faults", SCENARIOS, ids=lambda faults: ", ".join(map(str, faults)))
def test_nothing_that_was_promised_is_lost_and_no_limit_is_broken(world: FaultWorld, faults: Sequence[Fault]) -> None:
    scenario = Scenario(world, seed=SEED)
    scenario.live_through(faults)
    assert list(scenario.problems()) == []


def test_the_plan_is_the_same_for_the_same_seed_and_meets_every_part() -> None:
    assert plan(SEED, 6) == SCENARIOS
    assert {fault.part for faults in SCENARIOS for fault in faults} == {*get_args(Part)}
