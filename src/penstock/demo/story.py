"""The story: two agents to production, a new version by merge request, canary, promotion, rollback under load."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.demo.answers import answer_lines, write_answers
from penstock.demo.executor_process import ExecutorProcess
from penstock.demo.stage import APPROVER, AUTHOR, MANAGER, PEOPLE, Person, Stage
from penstock.demo.traffic import Traffic
from penstock.errors import PenstockError
from penstock.scaffold.reference import reference_files

GENERATOR, PLANNER = "testcase-generator", "testplan-generator"
OLD, NEW = "1.0.0", "1.1.0"
DATASETS = {GENERATOR: "requirements", PLANNER: "requirement-test-cases"}
FIRST_RUNS = 30
STORED_WITHIN_S = 60
PLATFORM = Person("platform", "Pat Platform", "platform@example.com")


@dataclass
class Story:
    """Plays the scenes in order and keeps what they showed; any command that ends otherwise than told ends it."""

    stage: Stage
    requests: int
    facts: dict[str, Any] = field(default_factory=dict)

    def play(self) -> dict[str, Any]:
        """All scenes; returns the facts that the last one prints."""
        self._lay_down_the_project()
        with ExecutorProcess(
            self.stage.clone_of(MANAGER), self.stage.environment, self.stage.folder / "executor.log"
        ) as executor:
            self._first_versions(executor)
            self._merge_request()
            self._canary(executor)
            self._to_production(executor)
            self._rollback_under_load(executor)
            self._what_happened(executor)
        return self.facts

    def inputs(self, agent: str, count: int) -> list[Any]:
        """Real inputs from the agent's dataset, round and round if it has fewer."""
        file = self.stage.clone_of(AUTHOR) / "datasets" / DATASETS[agent] / "cases.jsonl"
        cases = [json.loads(line)["input"] for line in file.read_text("utf-8").splitlines()]
        return [cases[index % len(cases)] for index in range(count)]

    def _lay_down_the_project(self) -> None:
        self.stage.scene("A project: a bare Git remote and three clones, each with its own self-declared identity")
        self.stage.raise_curtain()
        self.stage.join(AUTHOR)
        clone = self.stage.clone_of(AUTHOR)
        _copy_reference(clone, without=(*_agent_paths(OLD), *_agent_paths(NEW)))
        self._commit(AUTHOR, "Lay down the project", as_person=PLATFORM)
        self.stage.git(AUTHOR, "push", "--quiet", "origin", "HEAD:main", show=False)
        for person in PEOPLE:
            if person is not AUTHOR:
                self.stage.join(person)
            self.stage.say(f"   {person.role}: {person.name} <{person.mail}>")

    def _first_versions(self, executor: ExecutorProcess) -> None:
        self.stage.scene(f"{OLD} of both agents: merge request, merge, dev")
        self._propose(OLD, (GENERATOR, PLANNER))
        self._merge(OLD)
        self._reconcile()
        self._evaluate(f"{GENERATOR}@{OLD}", f"{PLANNER}@{OLD}")
        for agent in (GENERATOR, PLANNER):
            self.stage.scene(f"{agent} {OLD}: canary by explicit request, then prod")
            self._promote(f"{agent}@{OLD}", "canary", APPROVER, executor)
            traffic = Traffic(executor.url, agent)
            asyncio.run(traffic.send(self.inputs(agent, FIRST_RUNS), users=f"first-{agent}", stage="canary"))
            self._require_no_failure(traffic)
            self.stage.say(f"   {FIRST_RUNS} requests at stage canary, answered by {dict(traffic.versions)}")
            self._until_stored(agent, FIRST_RUNS)
            self._promote(f"{agent}@{OLD}", "prod", MANAGER, executor)

    def _merge_request(self) -> None:
        self.stage.scene(f"A merge request brings {GENERATOR} {NEW}")
        self._propose(NEW, (GENERATOR,))
        impact = self.stage.agentctl(AUTHOR, "impact", "--base", "origin/main")
        for brought in impact["new"]:
            changed = [f"{one['document']} {one['pointer']}" for one in brought["differences"]]
            self.stage.say(f"   {brought['agent']}@{brought['version']} differs from {brought['previous']} in:")
            self.stage.say("".join(f"     {line}\n" for line in changed).rstrip())
        self._merge(NEW)
        self._reconcile()

    def _canary(self, executor: ExecutorProcess) -> None:
        self._evaluate(f"{GENERATOR}@{NEW}")
        self.stage.scene(f"Canary at 20 %: {self.requests} requests, each of its own user")
        self._promote(f"{GENERATOR}@{NEW}", "canary", APPROVER, executor)
        traffic = Traffic(executor.url, GENERATOR)
        asyncio.run(traffic.send(self.inputs(GENERATOR, self.requests), users="user"))
        self._require_no_failure(traffic)
        self._show_answers(traffic)
        self.facts["canary"] = {"requests": len(traffic.answers), "answeredBy": dict(traffic.versions)}

    def _to_production(self, executor: ExecutorProcess) -> None:
        self.stage.scene(f"{GENERATOR} {NEW} to production")
        self._promote(f"{GENERATOR}@{NEW}", "prod", MANAGER, executor)

    def _rollback_under_load(self, executor: ExecutorProcess) -> None:
        self.stage.scene("Rollback under load")
        with self._load(executor) as traffic:
            self._until_answered(traffic, NEW, 20)
            before = self.stage.agentctl(MANAGER, "rollback", GENERATOR, "--stage", "prod", "--reason", "demo: back")
            seconds = executor.wait_live(_generation(before))
            self._until_answered(traffic, OLD, 20)
        self._require_no_failure(traffic)
        self.stage.say(
            f"   {len(traffic.answers)} requests while rolling back: {dict(traffic.versions)}, "
            f"{len(traffic.failed)} failed; live {seconds:.2f} s after the command ended"
        )
        self.facts["rollback"] = {
            "requests": len(traffic.answers),
            "answeredBy": dict(traffic.versions),
            "failed": len(traffic.failed),
        }

    def _what_happened(self, executor: ExecutorProcess) -> None:
        self.stage.scene("What happened, and where to look")
        history = self.stage.agentctl(MANAGER, "routes", "history")
        for line in reversed(history["generations"]):
            self.stage.say(f"   generation {line['generation']:>2}  {line['kind']:9} {line['reason']}")
        self.stage.agentctl(MANAGER, "status", GENERATOR)
        manager = self.stage.clone_of(MANAGER)
        self.facts["folder"] = str(self.stage.folder)
        self.stage.say(f"\n   reports          {manager / 'reports'}")
        self.stage.say(f"   stages           git -C {manager} log --stat registry_repo/stages")
        self.stage.say(f"   who stands where cd {manager} && {self._settings()} agentctl status")
        self.stage.say(
            f"   release board    cd {manager} && {self._settings()} agentctl dev   (Dagster UI and executor)"
        )
        self.stage.say("   The model is scripted: it computes answers by rules and is no language model.")
        self.stage.say("   The routing tables are unsigned; identities are self-declared by git config.")

    def _settings(self) -> str:
        names = ("PENSTOCK_RELEASES_URL", "PENSTOCK_DATABASE_URL")
        return " ".join(f"{name}={self.stage.environment[name]}" for name in names)

    def _propose(self, version: str, agents: Sequence[str]) -> None:
        """A branch with these versions, checked as a merge request is."""
        branch = f"version-{version}"
        self.stage.git(AUTHOR, "fetch", "--quiet", "origin", show=False)
        self.stage.git(AUTHOR, "checkout", "--quiet", "-b", branch, "origin/main")
        _copy_reference(self.stage.clone_of(AUTHOR), only=_agent_paths(version, agents))
        self._commit(AUTHOR, f"{', '.join(agents)} {version}")
        self.stage.git(AUTHOR, "push", "--quiet", "origin", branch)
        self.stage.agentctl(AUTHOR, "validate", "--base", "origin/main")
        checked = self.stage.agentctl(AUTHOR, "check", "--base", "origin/main")
        for version_checked in checked.get("versions", checked.get("items", [])):
            self.stage.say(
                f"   {version_checked.get('agent')}@{version_checked.get('version')}: {version_checked.get('verdict')}"
            )

    def _merge(self, version: str) -> None:
        """The approver merges the branch; merges are real ones, on the remote's main."""
        self.stage.git(APPROVER, "fetch", "--quiet", "origin", show=False)
        self.stage.git(APPROVER, "checkout", "--quiet", "-B", "main", "origin/main", show=False)
        message = f"Merge version-{version}"
        self.stage.git(APPROVER, "merge", "--quiet", "--no-ff", "-m", message, f"origin/version-{version}")
        self.stage.git(APPROVER, "push", "--quiet", "origin", "main")

    def _reconcile(self) -> None:
        """What the protected job on main does: the gates that count, and dev."""
        self._follow_main(MANAGER)
        done = self.stage.agentctl(MANAGER, "reconcile")
        moved = [f"{move['agent']}@{move['version']} to {move['stage']}" for move in done["moves"] if move["moved"]]
        self.stage.say(f"   moved: {', '.join(moved) or 'nothing'}")

    def _evaluate(self, *refs: str) -> None:
        """What the protected job on main does next: model, shadow, diff and eval, whose results count."""
        self.stage.scene(f"Evidence before canary: {', '.join(refs)}")
        self._follow_main(MANAGER)
        for found in self.stage.agentctl(MANAGER, "check", *refs)["versions"]:
            self.stage.say(f"   {found['agent']}@{found['version']} before {found['stage']}: {found['verdict']}")
            for gate in found["gates"]:
                if gate["stage"] == found["stage"]:
                    self.stage.say(f"     {gate['gate']:7} {gate['outcome']:7} {gate['reason']}")
            self.stage.say(f"   report {found['report']}")

    def _promote(self, ref: str, stage: str, approver: Person, executor: ExecutorProcess) -> None:
        """Check what is still to be measured, approve, promote, and wait until the executor serves it."""
        self._follow_main(MANAGER)
        if stage == "prod":  # the gates before canary ran before
            self.stage.agentctl(MANAGER, "check", ref)
        self._follow_main(approver)
        evidence = self.stage.agentctl(approver, "plan", ref, "--to", stage, expect=1)["evidence"]
        self.stage.say(f"   evidence {evidence['evidence'][:19]}: {evidence['why']}")
        report = ("--report", evidence["evidence"][:31])
        self.stage.agentctl(approver, "approve", ref, "--to", stage, *report, "--comment", "demo: reviewed")
        done = self.stage.agentctl(MANAGER, "promote", ref, "--to", stage)
        seconds = executor.wait_live(_generation(done))
        self.stage.say(
            f"   {ref} is live at {stage}: generation {_generation(done)}, {seconds:.2f} s after the command ended"
        )

    def _until_stored(self, agent: str, count: int) -> None:
        """Waits until the database has so many runs of the canary: an answer comes before that."""
        question = ("runs", "--agent", agent, "--stage", "canary", "--limit", str(count))
        for _ in range(STORED_WITHIN_S):
            if len(self.stage.agentctl(MANAGER, *question)["runs"]) >= count:
                return
            time.sleep(1)
        raise PenstockError(f"{count} runs of {agent} are not stored yet", now="read the executor's log")

    def _follow_main(self, person: Person) -> None:
        self.stage.git(person, "fetch", "--quiet", "origin", show=False)
        self.stage.git(person, "checkout", "--quiet", "-B", "main", "origin/main", show=False)

    def _commit(self, person: Person, message: str, as_person: Person | None = None) -> None:
        who = as_person or person
        self.stage.git(person, "add", "--all", show=False)
        identity = ("-c", f"user.name={who.name}", "-c", f"user.email={who.mail}")
        self.stage.git(person, *identity, "commit", "--quiet", "-m", message, show=False)

    @contextmanager
    def _load(self, executor: ExecutorProcess) -> Iterator[Traffic]:
        """Requests in the background, until the block ends."""
        traffic, over = Traffic(executor.url, GENERATOR), threading.Event()
        inputs = self.inputs(GENERATOR, 100)
        sender = threading.Thread(target=lambda: asyncio.run(traffic.send_until(inputs, over.is_set, users="load")))
        sender.start()
        try:
            yield traffic
        finally:
            over.set()
            sender.join()

    def _until_answered(self, traffic: Traffic, version: str, count: int) -> None:
        """Waits until that version has answered `count` requests of this load."""
        waited = threading.Event()
        for _ in range(600):
            if traffic.versions[version] >= count:
                return
            waited.wait(0.1)
        raise PenstockError(f"{version} did not answer {count} requests within a minute", now="read executor.log")

    def _require_no_failure(self, traffic: Traffic) -> None:
        if traffic.failed:
            first = traffic.failed[0]
            raise PenstockError(
                f"{len(traffic.failed)} of {len(traffic.answers)} requests failed, the first: {first.problem}",
                where=str(self.stage.folder / "executor.log"),
                now="read the executor's log",
            )

    def _show_answers(self, traffic: Traffic) -> None:
        path = self.stage.folder / "answers.csv"
        write_answers(traffic.answers, path)
        for line in answer_lines(traffic.answers):
            self.stage.say(f"   {line}")
        self.stage.say(f"   all of them, with the version that answered each: {path}")


def _agent_paths(version: str, agents: Sequence[str] = (GENERATOR, PLANNER)) -> tuple[str, ...]:
    """The reference files that one version of these agents brings; the first brings their suites too."""
    paths = []
    for agent in agents:
        paths += [f"registry_repo/agents/{agent}/{version}.yaml", f"registry_repo/prompts/{agent}/{version}.md"]
        paths.append(f"contract_suites/{agent}/{version}")
        if version == OLD:
            paths += [f"contract_suites/{agent}/suite.yaml", f"evals/{agent}.yaml"]
    return tuple(paths)


def _copy_reference(clone: Path, *, only: Sequence[str] = (), without: Sequence[str] = ()) -> None:
    """Copies the reference content into a clone: all of it, `only` some paths, or all `without` some."""
    folders = ("registry_repo", "contract_suites", "datasets", "evals", "runtimes", "pipelines")
    files = reference_files(*(only or folders))
    if not only:
        files["pyproject.toml"] = b'[tool.penstock]\ndriver = "ci"\ndefault_runtime = "langgraph"\n'
        files[".gitignore"] = b".penstock/\nreports/\n__pycache__/\n"
    for place, content in files.items():
        if not _below(place, without):
            target = clone / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _below(place: str, paths: Sequence[str]) -> bool:
    return any(place == path or place.startswith(f"{path}/") for path in paths)


def _generation(document: dict[str, Any]) -> int:
    return int(document["generation"])
