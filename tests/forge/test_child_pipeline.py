import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.contracts.pipeline import Pipeline
from penstock.errors import Invalid
from penstock.forge.child_pipeline import (
    JOB_STAGES,
    MOST_SHARES,
    MOST_VERSIONS,
    ChangedVersion,
    PipelineOrder,
    as_yaml,
    child_pipeline,
)

BASE = "c" * 40
MERGE_REQUEST = PipelineOrder(BASE)
MAIN = PipelineOrder(BASE, counts=True)
KEYS = {"include", "stages"}


def pipeline(
    dev: str = "schema unit contract",
    canary: str = "model shadow diff eval",
    rules: dict[str, dict[str, Any]] | None = None,
) -> Pipeline:
    """A pipeline with these gates; `rules` replace those of a stage."""
    written: dict[str, dict[str, Any]] = {
        "dev": {"automatic": True, "gates": [{"gate": gate} for gate in dev.split()]},
        "canary": {"gates": [{"gate": gate} for gate in canary.split()], "approvals": [{"from": "owners"}]},
        "prod": {"gates": [{"gate": "canary-runs"}], "approvals": [{"from": "releaseManagers"}]},
    }
    for name, more in (rules or {}).items():
        written[name].update(more)
    return Pipeline.model_validate(
        {
            "apiVersion": "penstock.dev/v1",
            "kind": "Pipeline",
            "metadata": {"name": "default"},
            "spec": {"stages": written, "canary": {"steps": [{"percent": 20}]}},
        }
    )


def jobs(document: dict[str, Any]) -> dict[str, Any]:
    return {name: job for name, job in document.items() if name not in KEYS}


def of_writer(order: PipelineOrder = MERGE_REQUEST, place: str | None = None, **declared: Any) -> dict[str, Any]:
    """The jobs of one version by the end of their names."""
    found = jobs(child_pipeline([ChangedVersion("writer", "1.1.0", place)], pipeline(**declared), order))
    return {name.removeprefix("writer@1.1.0 "): job for name, job in found.items()}


def require_valid(document: dict[str, Any], folder: Path) -> None:
    """GitLab's own schema takes it."""
    (folder / "child.yml").write_text(as_yaml(document), "utf-8")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    done = subprocess.run(
        [*check, "--data-transform", "gitlab-ci", str(folder / "child.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_merge_request_gets_its_gates_in_a_chain_and_a_report_and_moves_nothing() -> None:
    found = of_writer()
    assert list(found) == ["validate", "contract", "shadow", "diff", "eval", "report"]
    assert [job["stage"] for job in found.values()] == list(found)
    assert all(job["interruptible"] for job in found.values())
    needs = [[name.removeprefix("writer@1.1.0 ") for name in job["needs"]] for job in found.values()]
    assert needs == [[], ["validate"], ["contract"], ["shadow"], ["diff"], list(found)[:-1]]
    assert not any({"environment", "resource_group"} & set(job) for job in found.values())


def test_every_gate_runs_in_exactly_one_job_and_what_one_found_reaches_the_report() -> None:
    found = of_writer()
    words = [word for job in found.values() for line in job["script"] for word in line.split()]
    asked = [after for before, after in itertools.pairwise(words) if before == "--gate"]
    assert asked == ["schema", "unit", "contract", "model", "shadow", "diff", "eval"]
    assert all(f"--base {BASE} --to canary" in job["script"][0] for job in found.values())
    assert all(job["script"][0].endswith("--results .penstock/results") for job in found.values())
    assert all(".penstock/results/" in job["artifacts"]["paths"] for name, job in found.items() if name != "report")
    assert "--found" in found["report"]["script"][0]


def test_the_report_is_there_whatever_the_gates_said() -> None:
    report = of_writer()["report"]
    assert report["when"] == "always"
    assert report["artifacts"] == {
        "when": "always",
        "expire_in": "4 weeks",
        "paths": ["reports/"],
        "reports": {"junit": "reports/writer/1.1.0/*/junit.xml"},
    }


def test_a_gate_that_is_not_in_the_pipeline_has_no_job_and_an_unknown_one_is_refused() -> None:
    assert list(of_writer(dev="schema", canary="eval")) == ["validate", "eval", "report"]
    assert list(of_writer(dev="", canary="")) == ["report"]
    with pytest.raises(Invalid):
        of_writer(canary="weather")


def test_on_main_results_count_and_the_version_is_moved() -> None:
    found = of_writer(MAIN)
    assert list(found) == ["validate", "contract", "shadow", "diff", "eval", "report", "dev", "canary", "prod"]
    assert not any(job["interruptible"] for job in found.values())
    assert not any("--results" in line for job in found.values() for line in job["script"])
    dev, canary, prod = found["dev"], found["canary"], found["prod"]
    assert dev["needs"] == ["writer@1.1.0 contract"]
    assert canary["needs"] == ["writer@1.1.0 dev", "writer@1.1.0 report"]
    assert prod["needs"] == ["writer@1.1.0 canary", "writer@1.1.0 report"]
    assert [job.get("when") for job in (dev, canary, prod)] == [None, "manual", "manual"]
    assert [job["resource_group"] for job in (dev, canary, prod)] == ["writer/dev", "writer/canary", "writer/prod"]
    assert [job["environment"]["name"] for job in (dev, canary, prod)] == ["dev/writer", "canary/writer", "prod/writer"]
    assert prod["environment"]["deployment_tier"] == "production"
    assert prod["script"] == ["agentctl check writer@1.1.0 --to prod", "agentctl ci move writer@1.1.0 --to prod"]


@pytest.mark.parametrize(
    ("rules", "when"),
    [
        ({"automatic": True, "approvals": []}, None),
        ({"automatic": True}, "manual"),  # nobody can have approved what has only just been measured
        ({"approvals": []}, "manual"),
    ],
)
def test_a_canary_begins_by_itself_where_the_pipeline_says_so(rules: dict[str, Any], when: str | None) -> None:
    assert of_writer(MAIN, rules={"canary": rules})["canary"].get("when") == when


def test_dev_waits_for_a_hand_where_the_pipeline_does_not_let_it_go() -> None:
    assert of_writer(MAIN, rules={"dev": {"automatic": False}})["dev"]["when"] == "manual"
    ungated = of_writer(MAIN, dev="")["dev"]
    assert (ungated["needs"], ungated.get("when")) == ([], None)


def test_prod_is_never_automatic() -> None:
    found = of_writer(MAIN, rules={"prod": {"automatic": True, "approvals": []}})
    assert found["prod"]["when"] == "manual"


@pytest.mark.parametrize(
    ("place", "ahead"),
    [
        (None, ["dev", "canary", "prod"]),
        ("dev", ["canary", "prod"]),
        ("canary", ["prod"]),
        ("prod", []),
        ("disabled", []),
    ],
)
def test_only_the_stages_ahead_of_a_version_have_jobs(place: str | None, ahead: list[str]) -> None:
    assert list(of_writer(MAIN, place))[6:] == ahead


def test_where_nothing_changed_one_job_says_so(tmp_path: Path) -> None:
    document = child_pipeline([], pipeline(), PipelineOrder(includes=(".gitlab/defaults.yml",)))
    assert list(jobs(document)) == ["nothing changed"]
    assert document["nothing changed"]["script"] == ["echo 'no agent version is new, and no evidence is void'"]
    require_valid(document, tmp_path)


def test_the_order_in_which_changes_come_means_nothing() -> None:
    versions = [ChangedVersion(agent, version) for agent in ("b", "a") for version in ("1.10.0", "1.2.0-rc.1+x")]
    both = [child_pipeline(some, pipeline(), MAIN) for some in (versions, [*reversed(versions), versions[0]])]
    assert as_yaml(both[0]) == as_yaml(both[1])
    assert list(yaml.safe_load(as_yaml(both[0]))) == list(both[0])


def test_ever_so_many_versions_make_a_bounded_number_of_jobs_and_none_is_left_out(tmp_path: Path) -> None:
    versions = [ChangedVersion(f"agent-{number:04}", "1.0.0") for number in range(1_000)]
    document = child_pipeline(versions, pipeline(), MAIN)
    assert len(jobs(document)) == MOST_VERSIONS * 9 + MOST_SHARES <= 500
    checked = {word for job in jobs(document).values() for word in job["script"][0].split() if "@" in word}
    assert checked == {one.name for one in versions}
    require_valid(document, tmp_path)


def test_names_of_any_length_stay_apart_and_are_taken() -> None:
    long = [ChangedVersion("writer", f"1.0.0-{'x' * 200}{number}") for number in range(2)]
    names = list(jobs(child_pipeline(long, pipeline(), MAIN)))
    assert len(set(names)) == 18
    assert max(map(len, names)) < 140


@pytest.mark.parametrize("order", [MERGE_REQUEST, MAIN, PipelineOrder(None, True, (".gitlab/defaults.yml",))])
def test_gitlab_takes_the_document(order: PipelineOrder, tmp_path: Path) -> None:
    document = child_pipeline(
        [ChangedVersion("writer", "1.1.0"), ChangedVersion("other", "2.0.0", "prod")], pipeline(), order
    )
    assert set(document["stages"]) == set(JOB_STAGES)
    assert "&id" not in as_yaml(document)
    require_valid(document, tmp_path)
