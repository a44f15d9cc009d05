"""The child pipeline of GitLab CI: one set of jobs for each agent version that a change brings or voids.

Pure: what changed goes in, the document comes out. Equal changes give equal documents.
"""

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Stage
from penstock.gates.evidence import gates_before

Job = dict[str, Any]

JOB_STAGES = ("validate", "contract", "shadow", "diff", "eval", "report", "promote")
"""The stages of a child pipeline, in their order."""
STAGE_OF_GATE = {
    "schema": "validate",
    "unit": "validate",
    "contract": "contract",
    "model": "contract",
    "shadow": "shadow",
    "diff": "diff",
}
"""Job stage of each gate; every other one, a project's own included, is among `eval`."""
TIERS: dict[Stage, str] = {"dev": "development", "canary": "staging", "prod": "production"}
MOST_VERSIONS = 40
"""So many versions have jobs of their own: at most nine each. GitLab refuses a pipeline of more than 500 jobs."""
MOST_SHARES = 20
"""So many jobs share the versions beyond that."""
LONGEST_TITLE = 120
RESULTS = ".penstock/results"
TRIALS = ".penstock/store.db"
"""What an evaluation ran is kept there for a day, so that `diff` and `eval` run each case once."""


@dataclass(frozen=True, slots=True, order=True)
class ChangedVersion:
    """A version that a change brings, or whose evidence it voids; `place` is where it stands, None = nowhere yet."""

    agent: str
    version: str
    place: str | None = None

    @property
    def name(self) -> str:
        """agent@version."""
        return f"{self.agent}@{self.version}"

    @property
    def title(self) -> str:
        """The start of its jobs' names: the name, cut where GitLab would not take it, and still no other's."""
        if len(self.name) <= LONGEST_TITLE:
            return self.name
        return f"{self.name[: LONGEST_TITLE - 13]}~{hashlib.sha256(self.name.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class PipelineOrder:
    """What kind of child is wanted.

    `base` is the commit that changes are judged against, None = every version on its own. With `counts` it is one of
    the protected base branch: results are stored, and versions may be moved. `includes` are files of the project that
    hold what all jobs share: image, variables, how agentctl is installed.
    """

    base: str | None = None
    counts: bool = False
    includes: tuple[str, ...] = ()


def child_pipeline(changed: Iterable[ChangedVersion], pipeline: Pipeline, order: PipelineOrder) -> dict[str, Any]:
    """The document of the child pipeline. Where nothing changed it has one job that says so: GitLab takes no empty one.

    Versions beyond `MOST_VERSIONS`, in their order, share at most `MOST_SHARES` jobs that run every gate, and are moved
    by the commands. Raises `Invalid` for a pipeline that no gate takes.
    """
    versions = sorted(set(changed), key=lambda one: (one.agent, one.version))
    document: dict[str, Any] = {}
    if order.includes:
        document["include"] = [{"local": path} for path in order.includes]
    document["stages"] = list(JOB_STAGES)
    if not versions:
        document["nothing changed"] = _nothing()
    for one in versions[:MOST_VERSIONS]:
        document.update(_VersionJobs(one, pipeline, order).all())
    rest = versions[MOST_VERSIONS:]
    shares = min(MOST_SHARES, len(rest))
    for index in range(shares):
        document[f"more versions {index + 1} of {shares}"] = _shared_job(rest[index::shares], order)
    return document


def as_yaml(document: dict[str, Any]) -> str:
    """The document as GitLab reads it."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000)


def environment_of(agent: str, stage: Stage) -> dict[str, str]:
    """The environment of an agent's stage.

    Each agent has its own: GitLab refuses a deployment that is older than the environment's newest, and two agents'
    releases have no order between them.
    """
    return {"name": f"{stage}/{agent}", "deployment_tier": TIERS[stage]}


class _VersionJobs:
    """The jobs of one version, each after the one before it."""

    def __init__(self, changed: ChangedVersion, pipeline: Pipeline, order: PipelineOrder) -> None:
        self.changed = changed
        self.pipeline = pipeline
        self.order = order

    def all(self) -> dict[str, Job]:
        """Name -> job: the gates' in a chain, the report, and on the base branch the moves."""
        jobs: dict[str, Job] = {}
        for stage, gates in self._gates():
            jobs[f"{self.changed.title} {stage}"] = self._gate_job(stage, gates, needs=list(jobs)[-1:])
        jobs[f"{self.changed.title} report"] = self._report_job(needs=list(jobs))
        if self.order.counts:
            jobs.update(self._moves())
        return jobs

    def _gates(self) -> list[tuple[str, list[str]]]:
        """The stages that have a gate before canary, with their gates."""
        named = list(dict.fromkeys(use.gate for _, use in gates_before(self.pipeline, "canary")))
        sorted_out = {stage: [gate for gate in named if _stage_of(gate) == stage] for stage in JOB_STAGES}
        return [(stage, gates) for stage, gates in sorted_out.items() if gates]

    def _gate_job(self, stage: str, gates: Sequence[str], *, needs: list[str]) -> Job:
        asked = [word for gate in gates for word in ("--gate", gate)]
        job = self._job(stage, needs, _check([self.changed.name], self.order, *asked))
        if not self.order.counts:  # what counts is in the release store and the database, which all jobs share
            job["artifacts"] = {"when": "always", "expire_in": "1 week", "paths": [f"{RESULTS}/", TRIALS]}
        return job

    def _report_job(self, *, needs: list[str]) -> Job:
        """It runs whatever the gates said, and measures nothing: its exit status is the verdict."""
        job = self._job("report", needs, _check([self.changed.name], self.order, "--found"))
        job["when"] = "always"
        folder = f"reports/{self.changed.agent}/{self.changed.version}"
        return {**job, "artifacts": _report_artifacts(f"{folder}/*/junit.xml")}

    def _moves(self) -> dict[str, Job]:
        """The stages that are still ahead of the version, each after the one before it."""
        rules = self.pipeline.spec.stages
        title, place = self.changed.title, self.changed.place
        ahead: dict[str | None, list[Stage]] = {
            None: ["dev", "canary", "prod"],
            "dev": ["canary", "prod"],
            "canary": ["prod"],
        }
        jobs: dict[str, Job] = {}
        for stage in ahead.get(place, []):
            needs = [*list(jobs)[-1:], *self._before(stage)]
            # Approvals are of evidence that has only just been found: reconcile moves the version once they are there.
            by_itself = {"dev": rules.dev, "canary": rules.canary}.get(stage)
            is_manual = by_itself is None or not by_itself.automatic or bool(by_itself.approvals)
            jobs[f"{title} {stage}"] = self._move_job(stage, needs, is_manual=is_manual)
        return jobs

    def _before(self, stage: Stage) -> list[str]:
        """What must have passed besides the move before: the gates of dev for dev, the whole report for the rest."""
        if stage != "dev":
            return [f"{self.changed.title} report"]
        of_dev = {_stage_of(use.gate) for _, use in gates_before(self.pipeline, "dev")}
        return [f"{self.changed.title} {name}" for name, _ in self._gates() if name in of_dev][-1:]

    def _move_job(self, stage: Stage, needs: list[str], *, is_manual: bool) -> Job:
        name = shlex.quote(self.changed.name)
        commands = [f"agentctl ci move {name} --to {stage}"]
        if stage == "prod":  # its gates look at the live canary, so nothing could be measured before
            commands.insert(0, f"agentctl check {name} --to prod")
        job = self._job("promote", needs, *commands)
        if is_manual:
            job["when"] = "manual"
        job["environment"] = environment_of(self.changed.agent, stage)
        job["resource_group"] = f"{self.changed.agent}/{stage}"
        if stage == "prod":
            job["artifacts"] = _report_artifacts(f"reports/{self.changed.agent}/{self.changed.version}/*/junit.xml")
        return job

    def _job(self, stage: str, needs: list[str], *script: str) -> Job:
        """`interruptible`: a newer commit of a merge request ends it; on the base branch nothing does."""
        return {"stage": stage, "needs": needs, "interruptible": not self.order.counts, "script": list(script)}


def _stage_of(gate: str) -> str:
    return STAGE_OF_GATE.get(gate, "eval")


def _check(names: Sequence[str], order: PipelineOrder, *options: str) -> str:
    words = ["agentctl", "check", *names, *(["--base", order.base] if order.base else []), "--to", "canary", *options]
    return shlex.join([*words, *([] if order.counts else ["--results", RESULTS])])


def _report_artifacts(junit: str) -> Job:
    return {"when": "always", "expire_in": "4 weeks", "paths": ["reports/"], "reports": {"junit": junit}}


def _shared_job(versions: Sequence[ChangedVersion], order: PipelineOrder) -> Job:
    return {
        "stage": "report",
        "needs": [],
        "interruptible": not order.counts,
        "script": [_check([one.name for one in versions], order)],
        "artifacts": _report_artifacts("reports/*/*/*/junit.xml"),
    }


def _nothing() -> Job:
    """Neither agentctl nor a cache is needed to say it."""
    said = "no agent version is new, and no evidence is void"
    return {"stage": "validate", "needs": [], "before_script": [], "cache": [], "script": [f"echo {shlex.quote(said)}"]}
