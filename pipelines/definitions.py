"""The Dagster entry of this project: `dagster dev -f pipelines/definitions.py`, or `agentctl dev`."""

from penstock.orchestration.definitions import build_definitions

defs = build_definitions()
