"""Real commands in a random order over a real remote, with forged commits in between: the table never believes one."""

import random
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from penstock.contracts.policy import Stage
from penstock.errors import Conflict, PenstockError, Refused, WrongUse
from penstock.release.canary import tick
from penstock.release.driver import promote
from penstock.release.overlaid import stages_in_force
from penstock.release.reconcile import reconcile
from penstock.release.rollback import roll_back
from penstock.release.stages_file import read_stages, stages_path
from penstock.release.stops import change_status, hold, unhold, unquarantine

World = Any
Act = Callable[["Walk"], None]
APPROVER, MANAGER = ("Ben Approver", "approver@example.org"), ("Mia Manager", "manager@example.org")
EVE, BOT = ("Eve Else", "eve@example.org"), ("Penstock", "bot@penstock.invalid")
PATH = stages_path("helper")
# Some steps in every run; many where there is time.
WALKS = [
    pytest.param(1, 30, marks=pytest.mark.xdist_group("forgeries")),
    *(
        pytest.param(seed, 150, marks=[pytest.mark.servers, pytest.mark.xdist_group(f"forgeries-{seed}")])
        for seed in (2, 3, 4, 5)
    ),
]
STAGES: tuple[Stage, ...] = ("canary", "prod")


@dataclass
class Walk:
    """One random walk; `versions` are those of helper that were merged."""

    here: World
    chance: random.Random
    versions: list[str] = field(default_factory=lambda: ["1.0.0"])
    done: list[str] = field(default_factory=list)
    bags: dict[str, list[Act]] = field(default_factory=dict)

    def next_of(self, bag: str, acts: list[Act]) -> Act:
        """Each of them in an order of chance, then each again."""
        left = self.bags.setdefault(bag, [])
        if not left:
            left += self.chance.sample(acts, len(acts))
        self.done.append(left[-1].__name__)
        return left.pop()

    def any_version(self) -> str:
        return self.chance.choice(self.versions[-3:])

    # What people and the driver do.

    def add(self) -> None:
        self.versions.append(f"1.{len(self.versions)}.0")
        self.here.add("helper", self.versions[-1])

    def approve_and_promote(self) -> None:
        stage: Stage = self.chance.choice(STAGES)
        canary = self.here.routes().canary
        version = canary.version if stage == "prod" and canary is not None else self.any_version()
        if self.chance.random() < 0.8:
            self.here.approve("helper", version, stage, APPROVER if stage == "canary" else MANAGER)
        override = "because" if self.chance.random() < 0.2 else None
        promote(self.here.workspace(MANAGER), ("helper", version, stage), override=override)

    def step(self) -> None:
        workspace = self.here.workspace(MANAGER)
        reconcile(workspace, moves=False)
        tick(workspace)

    def back(self) -> None:
        stage, keep = self.chance.choice(["canary", "prod"]), self.chance.random() < 0.7
        roll_back(self.here.workspace(MANAGER), "helper", "bad", stage=stage, keep=keep)

    def stop(self) -> None:
        kind = self.chance.choice(["freeze", "hold"])
        workspace = self.here.workspace(MANAGER)
        hold(workspace, "helper", "look") if kind == "hold" else change_status(workspace, kind, "helper", "look")

    def lift(self) -> None:
        with suppress(PenstockError):
            unhold(self.here.workspace(MANAGER), "helper", "over")
        with suppress(PenstockError):
            change_status(self.here.workspace(MANAGER), "thaw", "helper", "over")
        for one in self.here.routes().quarantined:
            unquarantine(self.here.workspace(MANAGER), one, "over")

    # What somebody does who may push and nothing else.

    def edited(self, text: str) -> str:
        """Another weight, another version, another place, or less."""
        return self.chance.choice(
            [
                text.replace("weightBp: 500", "weightBp: 10000").replace("weightBp: 5000", "weightBp: 9000"),
                text.replace("version: 1.0.0", f"version: {self.any_version()}", 1),
                text.replace("status: active", "status: frozen").replace("hold: {", "hold: null #"),
                "\n".join("  hold: null" if line.startswith("  hold:") else line for line in text.splitlines()) + "\n",
                "\n".join("  quarantined: []" if "quarantined" in line else line for line in text.splitlines()) + "\n",
            ]
        )

    def messages(self) -> list[str]:
        clone = self.here.clone(EVE)
        found = clone.git("log", "--format=%B%x00", "origin/main", "--", PATH, "registry_repo/stages/other.yaml")
        return [message.strip("\n") for message in found.split("\0") if "Penstock-Action" in message]

    def forge_edit(self) -> None:
        """The bot's address and the trailers of what was allowed once, for this agent or for the other."""
        clone = self.here.clone(EVE)
        message = self.chance.choice(self.messages()).replace("other@1.0.0", f"helper@{self.any_version()}")
        clone.commit({PATH: self.edited((clone.root / PATH).read_text())}, message, self.chance.choice([BOT, EVE]))
        clone.git("push", "--quiet", "origin", "HEAD:main")

    def forge_replay(self) -> None:
        """An old commit's bytes and words, made again."""
        clone = self.here.clone(EVE)
        old = self.chance.choice(
            clone.git("log", "--format=%H", "--diff-filter=AM", "origin/main", "--", PATH).splitlines()
        )
        text = clone.git("show", f"{old}:{PATH}") + "\n"
        clone.commit({PATH: text}, clone.git("log", "-1", "--format=%B", old), BOT)
        clone.git("push", "--quiet", "origin", "HEAD:main")

    def forge_revert(self) -> None:
        clone = self.here.clone(EVE)
        last = clone.git("log", "-1", "--format=%H", "origin/main", "--", PATH)
        clone.git("revert", "--no-edit", last)
        clone.git("push", "--quiet", "origin", "HEAD:main")

    def forge_merge(self) -> None:
        """A branch from before, edited, merged by force: one side taken whole."""
        clone = self.here.clone(EVE)
        old = self.chance.choice(
            clone.git("log", "--format=%H", "--diff-filter=AM", "origin/main", "--", PATH).splitlines()
        )
        clone.git("checkout", "--quiet", "-B", "side", old)
        clone.commit({PATH: self.edited((clone.root / PATH).read_text())}, self.chance.choice(self.messages()), BOT)
        clone.git("checkout", "--quiet", "-B", "main", "origin/main")
        clone.git("merge", "--quiet", "--no-edit", "-X", "theirs", "--no-ff", "side")
        clone.git("push", "--quiet", "origin", "HEAD:main")

    def forge_removal(self) -> None:
        clone = self.here.clone(EVE)
        clone.commit({PATH: None}, "Tidy", EVE)
        clone.git("push", "--quiet", "origin", "HEAD:main")

    def forge(self) -> None:
        """One forged commit; the table says of every agent what it said, and who wants to move it is told."""
        here, before = self.here, self.here.table().agents
        clone = here.clone(EVE)
        clone.git("fetch", "--quiet")
        clone.git("checkout", "--quiet", "-B", "main", "origin/main")
        make = self.next_of("forgery", FORGERIES)
        try:
            make(self)
        except subprocess.CalledProcessError:  # nothing to revert, or a merge that Git does not make: nothing is pushed
            clone.git("reset", "--quiet", "--hard", "origin/main")
            return
        drift = here.reconcile().drift
        told = {agent: (routes.as_document() | {"commit": ""}) for agent, routes in here.table().agents.items()}
        assert told == {agent: (routes.as_document() | {"commit": ""}) for agent, routes in before.items()}
        if drift and self.chance.random() < 0.5:
            self.while_it_drifts()
        if drift:
            assert here.cli(MANAGER, "reconcile", "--restore", "helper") == 0
        assert here.reconcile().drift == []

    def while_it_drifts(self) -> None:
        """Nothing is promoted on top of a forged commit; a rollback is in force all the same."""
        canary = self.here.routes().canary
        if canary is not None:
            with pytest.raises((Refused, Conflict)):
                promote(self.here.workspace(MANAGER), ("helper", canary.version, "prod"), override="because")
            done = roll_back(self.here.workspace(MANAGER), "helper", "bad", stage="canary", keep=True)
            assert "does not resolve" in done.pending
            assert self.here.routes().canary is None


MOVES: list[Act] = [
    Walk.add,
    Walk.approve_and_promote,
    Walk.approve_and_promote,
    Walk.approve_and_promote,
    Walk.step,
    Walk.back,
    Walk.stop,
    Walk.lift,
    Walk.lift,
]
FORGERIES: list[Act] = [
    Walk.forge_edit,
    Walk.forge_edit,
    Walk.forge_replay,
    Walk.forge_revert,
    Walk.forge_merge,
    Walk.forge_removal,
]


@pytest.mark.parametrize(("seed", "steps"), WALKS)
def test_the_table_says_nothing_that_no_record_allowed(
    world: Callable[..., World], two_steps: str, seed: int, steps: int
) -> None:
    here = world("helper", "other", files={"pipelines/release.yaml": two_steps})
    here.to_canary("other", "1.0.0")
    here.to_prod("helper", "1.0.0")
    walk = Walk(here, random.Random(seed))
    for number in range(steps):
        if number % 2:
            walk.forge()
            continue
        with suppress(Refused, Conflict, WrongUse):
            walk.next_of("move", MOVES)(walk)
        assert here.reconcile().drift == [], walk.done
        said = read_stages(here.stages_text().encode(), "stages")
        assert stages_in_force(here.table(), "helper") == said, walk.done
    assert {act.__name__ for act in (*MOVES, *FORGERIES)} <= set(walk.done)
