"""Brings a version to a stage by the pipeline's own rule or a person's right; done again it changes nothing."""

from dataclasses import dataclass

from penstock.contracts.policy import Stage
from penstock.errors import Refused
from penstock.gates.context import STAGES, Progress
from penstock.release.driver import promote
from penstock.release.lifecycle import place_of
from penstock.release.overlaid import stages_in_force
from penstock.release.reconcile import reconcile
from penstock.release.workspace import Workspace


@dataclass(frozen=True, slots=True)
class StageMove:
    """Where the version stands now, by the table in force (None = nowhere).

    `moved` = this call moved it. `arrived` = it stands in the stage, or further on: a merge request of the bot
    may still have to be merged.
    """

    place: str | None
    generation: int
    moved: bool
    arrived: bool


def move_to_stage(workspace: Workspace, subject: tuple[str, str, Stage], progress: Progress | None = None) -> StageMove:
    """Moves agent and version to a stage unless it stands there, or further on, already.

    What the pipeline lets go by itself goes as the bot's; else as that of whoever acts. Raises `Refused` with what
    stands in the way, and what `promote` raises.
    """
    agent, version, stage = subject
    reconciled = reconcile(workspace, moves=workspace.settings.driver == "ci", agents=[agent], progress=progress)
    own = [move for move in reconciled.moves if move.version == version]
    moved = any(move.moved for move in own)
    if not _has_reached(_standing(workspace, agent, version)[0], stage):
        for move in own:
            if move.stage == stage and not move.moved:
                raise Refused(f"{agent}@{version} does not go to {stage} by itself: {move.why}", where=f"stage {stage}")
        promote(workspace, subject, progress=progress)
        moved = True
    place, generation = _standing(workspace, agent, version)
    return StageMove(place, generation, moved=moved, arrived=_has_reached(place, stage))


def _standing(workspace: Workspace, agent: str, version: str) -> tuple[str | None, int]:
    table = workspace.releases.newest_table()
    if table is None:
        return None, 0
    place = place_of(stages_in_force(table, agent), version) if agent in table.agents else None
    return place, table.generation


def _has_reached(place: str | None, stage: Stage) -> bool:
    return place in STAGES[STAGES.index(stage) :]
