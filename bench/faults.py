"""More of the faults that CI meets some of: every part fails under load, by a plan that a seed draws.

    python bench/faults.py [SEED] [SCENARIOS]

PostgreSQL and Redis must be installed: it starts its own. Exit status 1 = a promise, a limit or a budget was broken.
"""

import sys
import tempfile
import time
from pathlib import Path

from penstock.testing.fault_plan import Scenario, plan
from penstock.testing.fault_world import FaultWorld

SCENARIOS = 24


def main() -> int:
    """Prints each scenario and what did not hold after it."""
    seed, count = [*map(int, sys.argv[1:3]), *(time.time_ns() % 100_000, SCENARIOS)[len(sys.argv) - 1 :]]
    print(f"python bench/faults.py {seed} {count}", flush=True)
    broken = 0
    with tempfile.TemporaryDirectory() as folder, FaultWorld(Path(folder)) as world:
        for number, faults in enumerate(plan(seed, count), start=1):
            begun = time.monotonic()
            scenario = Scenario(world, seed=seed + number)
            try:
                scenario.live_through(faults)
                problems = list(scenario.problems())
            except AssertionError as problem:
                problems = [str(problem)]
            broken += len(problems)
            print(f"{number:4} {time.monotonic() - begun:6.1f} s  {', '.join(map(str, faults))}", flush=True)
            for sentence in problems:
                print(f"     FAILED: {sentence}", flush=True)
    print(f"{broken} broken" if broken else "nothing promised was lost, no limit and no budget was broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
