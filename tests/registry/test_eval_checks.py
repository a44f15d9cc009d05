from pathlib import Path

import pytest

from penstock.registry.change import change_against
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.testing.project import Project, project

SCORER = "evals/scorers/good_titles.py"


def faults(files: dict[str, str], tmp_path: Path) -> list[str]:
    root = tmp_path / "project"
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    return [str(fault) for fault in load_registry(TreeSource(root)).faults]


def test_scorers_have_a_place(files_of_evals: dict[str, str], tmp_path: Path) -> None:
    assert faults(files_of_evals, tmp_path) == []
    registry = load_registry(TreeSource(tmp_path / "project"))
    assert {name: entry.path for name, entry in registry.scorers.items()} == {"good_titles": SCORER}


@pytest.mark.parametrize("path", ["evals/scorers/Loud.py", "evals/scorers/deep/a.py", "evals/scorers/a.txt"])
def test_what_is_no_scorer_has_no_place_there(files_of_evals: dict[str, str], tmp_path: Path, path: str) -> None:
    (fault,) = faults({**files_of_evals, path: "x\n"}, tmp_path)
    assert fault == (
        f"{path}: has no place among the scorers (evals/scorers/<name>.py: small letters, digits, - and _)"
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "agents/judge@1.0.0",
            "agents/juge@1.0.0",
            "evals/writer.yaml:10:30: spec.scorers[2].agent: no agents/juge@1.0.0 (did you mean 'judge'?)",
        ),
        (
            "agents/judge@1.0.0",
            "agents/judge@1.0.1",
            "evals/writer.yaml:10:30: spec.scorers[2].agent: no agents/judge@1.0.1 (versions: 1.0.0)",
        ),
        (
            "agents/judge@1.0.0",
            "agents/writer@1.0.0",
            "evals/writer.yaml:10:30: spec.scorers[2].agent: agents/writer@1.0.0 is the agent itself "
            "(nobody judges their own work: name another agent)",
        ),
        (
            "calibration: labels",
            "calibration: label",
            "evals/writer.yaml:10:63: spec.scorers[2].calibration: no dataset 'label' (did you mean 'labels'?)",
        ),
        (
            "datasets: [products]",
            "datasets: [prodcts]",
            "evals/writer.yaml:5:14: spec.datasets[0]: no dataset 'prodcts' (did you mean 'products'?)",
        ),
        (
            "pace: {standard",
            "pace: {standart",
            "evals/writer.yaml:6:10: spec.pace.standart: no model 'standart' (did you mean 'standard'?)",
        ),
        (
            "- {scorer: own/good_titles}",
            "- {scorer: own/good_title}",
            "evals/writer.yaml:8:16: spec.scorers[0].scorer: there is no evals/scorers/good_title.py "
            "(did you mean 'own/good_titles'?)",
        ),
        (
            "compare: own/good_titles",
            "compare: own/nothing-like-it",
            "evals/writer.yaml:9:65: spec.scorers[1].params.compare: there is no evals/scorers/nothing-like-it.py "
            "(own scorers: own/good_titles)",
        ),
    ],
)
def test_what_a_suite_names_must_be_there(
    files_of_evals: dict[str, str], tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert faults(
        {**files_of_evals, "evals/writer.yaml": files_of_evals["evals/writer.yaml"].replace(old, new)}, tmp_path
    ) == [told]


@pytest.mark.parametrize("changed", [SCORER, "evals/writer.yaml", "datasets/labels/cases.jsonl", "evals/scorers/b.py"])
def test_a_change_is_judged_with_all_that_the_suite_names(
    files_of_evals: dict[str, str], tmp_path: Path, changed: str
) -> None:
    made: Project = project(files_of_evals, tmp_path / "project")
    made.branch("side")
    made.commit({changed: files_of_evals.get(changed, "") + "\n"})
    source = TreeSource(made.root)
    change = change_against(made.repository, source, "main")
    part = load_registry(source, only=change.reading())
    assert part.faults == []
    assert ("agents", "judge", "1.0.0") in part.documents or changed == "evals/scorers/b.py"
    assert ("agents", "writer", "1.0.0") in part.documents or changed == "evals/scorers/b.py"
    assert set(part.datasets) == ({"labels", "products"} if changed != "evals/scorers/b.py" else set())
