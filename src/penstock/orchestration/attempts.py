"""Attempts: which run of the same inputs comes next, so that a failed one is tried again and no other is."""

import time

import dagster as dg

INPUTS_TAG = "penstock/inputs"
AGAIN_AFTER_S = 30
"""What found too little, or broke, is asked again no sooner than this after it last answered."""


def attempt_of(instance: dg.DagsterInstance, inputs: str) -> int:
    """How many runs of these inputs have failed, so that the next has another key; the last one's own key for a while.

    A run that succeeded or is under way is never launched again.
    """
    records = instance.get_run_records(dg.RunsFilter(tags={INPUTS_TAG: inputs}), limit=100)
    failed = [one for one in records if one.dagster_run.status in {dg.DagsterRunStatus.FAILURE}]
    if len(failed) < len(records) or not records:
        return max(0, len(records) - 1)
    waits = time.time() - max(one.end_time or one.update_timestamp.timestamp() for one in failed) < AGAIN_AFTER_S
    return len(failed) - 1 if waits else len(failed)
