"""`agentctl dataset`: import, check and grow datasets, and see what is there."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, say, show
from penstock.errors import Fault, Invalid, NotFound, PenstockError, WrongUse
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.contracts.dataset import Dataset
    from penstock.registry.documents import Registry
    from penstock.scoring.datasets.checks import DatasetChecks, PreviousDataset

OUTPUT = "output"
_MARKS = {"passed": "passed    ", "failed": "FAILED    ", "not judged": "not judged"}


@click.group()
def dataset() -> None:
    """Imports, checks and grows datasets."""


@dataset.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "json", "jsonl"]), help="Default: by the file's ending.")
@click.option("--encoding", metavar="NAME", help="Of the file; default: UTF-8, or what its byte order mark says.")
@click.option("--id", metavar="COLUMN", help="The cases' ids; default: the column id, else a digest of the input.")
@click.option(
    "--input",
    "inputs",
    metavar="COLUMN[=NAME]",
    multiple=True,
    help="The input; given again, or with =NAME, the properties of an object. Default: the column input.",
)
@click.option("--expected", metavar="COLUMN", help="What a good answer is; default: the column expected, if any.")
@click.option("--context", metavar="COLUMN", help="What answers must be supported by; default: the column context.")
@click.option("--tags", metavar="COLUMN", help="Tags, split at commas; default: the column tags.")
@click.option("--cluster", metavar="COLUMN", help="Cases that belong together; default: the column cluster.")
@click.option("--append", is_flag=True, help="Add the cases to the dataset that is there.")
@click.option("--owner", metavar="TEAM", help="The team that owns a new dataset; default: the one that you are in.")
@click.option("--provenance", metavar="TEXT", help="Where the cases come from, and their licence; for a new dataset.")
@click.option("--split", type=click.Choice(["train", "dev", "test"]), default="test", show_default=True)
@json_option
def import_cases(name: str, file: Path, append: bool, as_json: bool, **options: Any) -> int:
    """Makes cases of the rows of a CSV, JSON or JSONL file.

    Every fault is told as file:line:column; with one, nothing is written. A new dataset gets a schema that all inputs
    fit: narrow it, and say more in its `checks`.
    """
    from penstock.scoring.datasets.case_import import read_rows
    from penstock.scoring.datasets.column_choice import ColumnChoice

    settings = project_settings()
    choice = ColumnChoice(
        inputs=tuple(options["inputs"]),
        **{field: options[field] for field in ("id", "expected", "context", "tags", "cluster")},
    )
    table = read_rows(file, options["form"], options["encoding"])
    if append:
        added, unused = _append(settings, name, table, choice)
    else:
        added, unused = _create(settings, name, table, (choice, options))
    if unused:
        say(f"columns that nothing was made of: {', '.join(unused)}")
    lines = (
        f"{added} cases {'added to' if append else 'in the new'} dataset {name}\nnext: `agentctl dataset check {name}`"
    )
    show({"dataset": name, "added": added, "created": not append, "unused": unused}, lines, as_json=as_json)
    return 0


@dataset.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
def check(names: tuple[str, ...], as_json: bool) -> int:
    """Checks datasets as every use of them does; without a name, all of them.

    Exit status 1: one of them may not be used.
    """
    from penstock.scoring.datasets.checks import check_dataset

    settings = project_settings()
    registry = _tree(settings)
    found: list[DatasetChecks] = []
    faults: list[Fault] = []
    for name in names or sorted(_names(registry)):
        try:
            found.append(check_dataset(settings, registry, name, _previous(settings, registry, name)))
        except Invalid as error:
            faults += error.faults
    if faults:
        raise Invalid("there are datasets with faults", where="datasets/", now="mend them, then again", faults=faults)
    if not found:
        raise NotFound("there is no dataset", where="datasets/", now="`agentctl dataset import` lays one down")
    text = "\n".join(line for one in found for line in _check_lines(one))
    show({"datasets": [one.as_document() for one in found]}, text, as_json=as_json)
    return 0 if all(one.passed for one in found) else 1


@dataset.command("add-from-run")
@click.argument("run_id", metavar="RUN")
@click.option("--dataset", "name", metavar="NAME", required=True, help="The dataset that it is added to.")
@click.option("--id", "case_id", metavar="ID", help="The case's id; default: made of the run's.")
@click.option("--expected", metavar="FILE", help="What a good answer is; the word `output` means the run's own output.")
@click.option("--from-feedback", is_flag=True, help="The expectation is what a user corrected the answer to.")
@click.option("--context", is_flag=True, help="Take what the run's tools said as the case's context.")
@json_option
def add_from_run(run_id: str, name: str, as_json: bool, **options: Any) -> int:
    """Makes a case of a live run, redacted: input, history, and results of tools that write.

    Tags say what online scorers and users said of it: `quality-low`, `rated-down`.
    """
    from penstock.executor.stored import open_runs
    from penstock.scoring.datasets.dataset_files import append_cases
    from penstock.scoring.datasets.run_case import RunRecord, require_addable, run_case, said_tags
    from penstock.store.depots import open_project_database
    from penstock.store.feedback import FeedbackStore
    from penstock.store.run_scores import RunScoreStore

    if options["expected"] and options["from_feedback"]:
        raise WrongUse("--expected and --from-feedback are two answers to one question", now="choose one of them")
    settings = project_settings()
    registry = _tree(settings)
    head, path = _dataset(registry, name), f"datasets/{name}/cases.jsonl"
    with open_runs(settings) as runs:
        record = RunRecord.read(runs, run_id)
    database = open_project_database(settings)
    try:
        words, scores = FeedbackStore(database).of_run(run_id), RunScoreStore(database).of_run(run_id)
    finally:
        database.close()
    judged = {
        one.scorer: one.value
        for one in scores
        if one.value is not None and one.document.get("kind") in {"assertion", "score"}
    }
    wanted: dict[str, Any] = {"tags": said_tags(judged, [word["rating"] for word in words])}
    if options["from_feedback"]:
        wanted |= {"expected": _corrected(words, run_id), "has_expected": True}
    elif options["expected"]:
        wanted |= {"expected": _expected(options["expected"], record), "has_expected": True}
    case = run_case(record, name=options["case_id"], context=options["context"], **wanted)

    def add(before: bytes) -> list[dict[str, Any]]:
        require_addable(path, before, case.value, head.spec.schema_)
        return [case.value]

    append_cases(settings, name, add)
    replaced = ", ".join(f"{count} {kind}" for kind, count in case.kinds.items()) or "nothing"
    text = f"case {case.value['id']} added to {path}; redacted: {replaced}"
    text += f"\nnext: read it, then `agentctl dataset check {name}`"
    show({"dataset": name, "case": case.value, "redacted": case.kinds}, text, as_json=as_json)
    return 0


@dataset.command("list")
@json_option
def list_datasets(as_json: bool) -> int:
    """Lists the datasets of the working tree."""
    registry = _tree(project_settings())
    rows = [_row(registry, name) for name in sorted(registry.datasets)]
    if registry.faults:
        say(f"warning: {len(registry.faults)} faults in the working tree; see `agentctl validate`")
    text = "\n".join(
        f"{row['name']}  {row['cases']} cases  {row['split']}  {row['owner']}  {row['digest']}" for row in rows
    )
    show({"datasets": rows}, text or "no datasets", as_json=as_json)
    return 0


@dataset.command("show")
@click.argument("name")
@json_option
def show_dataset(name: str, as_json: bool) -> int:
    """Shows one dataset: content address, origin, and what its cases are made of."""
    registry = _tree(project_settings())
    _dataset(registry, name)
    row = _row(registry, name)
    tags = ", ".join(f"{tag} ({count})" for tag, count in row["tags"].items()) or "none"
    text = "\n".join(
        [
            f"{name} {row['version']} ({row['owner']}, split {row['split']})",
            f"  digest      {row['digest']}",
            f"  cases       {row['cases']}, {row['withExpectation']} with an expectation, {row['fromRuns']} from runs",
            f"  clusters    {row['clusters']}",
            f"  tags        {tags}",
            f"  provenance  {row['provenance']}",
        ]
    )
    show(row, text, as_json=as_json)
    return 0


def _create(settings: Settings, name: str, table: Any, wish: tuple[Any, dict[str, Any]]) -> tuple[int, list[str]]:
    from penstock.scaffold.document import LONGEST_NAME, require_name
    from penstock.scoring.datasets.case_import import import_cases as made_of
    from penstock.scoring.datasets.dataset_files import write_dataset
    from penstock.scoring.datasets.dataset_head import dataset_head
    from penstock.scoring.datasets.schema_inference import inferred_schema

    choice, options = wish
    require_name(name, LONGEST_NAME)
    if not (options["provenance"] or "").strip():
        now = 'say it: --provenance "tickets of 2026, our own, no personal data"'
        raise WrongUse("where do the cases come from, and under which licence?", where=f"dataset {name}", now=now)
    owner = _owner(settings, options["owner"])
    made = made_of(table, choice)
    schema = inferred_schema([case["input"] for case in made.cases])
    head = dataset_head(name, owner, options["provenance"].strip(), schema, options["split"])
    write_dataset(settings, name, head, made.cases)
    return len(made.cases), made.unused


def _append(settings: Settings, name: str, table: Any, choice: Any) -> tuple[int, list[str]]:
    from penstock.registry.case_lines import read_case_lines
    from penstock.scoring.datasets.case_import import import_cases as made_of
    from penstock.scoring.datasets.dataset_files import append_cases

    head = _dataset(_tree(settings), name)
    unused: list[str] = []

    def add(before: bytes) -> list[dict[str, Any]]:
        path = f"datasets/{name}/cases.jsonl"
        lines, faults = read_case_lines(path, before)
        if faults:
            raise Invalid("the dataset has faults", where=path, now="mend the lines", faults=faults)
        made = made_of(table, choice, head.spec.schema_, {one.case.id for one in lines})
        unused.extend(made.unused)
        return made.cases

    return append_cases(settings, name, add), unused


def _tree(settings: Settings) -> "Registry":
    from penstock.registry.load import load_registry
    from penstock.registry.source import TreeSource

    return load_registry(TreeSource(settings.root), default_runtime=settings.default_runtime)


def _owner(settings: Settings, wanted: str | None) -> str:
    from penstock.registry.git import Repository
    from penstock.scaffold.ownership import choose_owner

    try:
        _, mail = Repository.open(settings.root).identity()
    except PenstockError:
        mail = ""
    return choose_owner(_tree(settings), wanted, mail)


def _names(registry: "Registry") -> set[str]:
    """Every dataset that has a file, readable or not: none is left out of a check."""
    paths = (path.split("/") for path in registry.source.entries() if path.startswith("datasets/"))
    return {parts[1] for parts in paths if parts[-1] in {"dataset.yaml", "cases.jsonl"}}


def _dataset(registry: "Registry", name: str) -> "Dataset":
    from penstock.scoring.datasets.checks import find_dataset

    return find_dataset(registry, name)


def _previous(settings: Settings, registry: "Registry", name: str) -> "PreviousDataset | None":
    """What the base branch has, or had before; None without Git, or where there is nothing else."""
    from penstock.registry.git import Repository
    from penstock.scoring.datasets.checks import PreviousDataset

    try:
        repository = Repository.open(settings.root)
        commit = repository.base_head(settings.base_branch)
    except PenstockError:
        return None
    now = registry.file_digest(f"datasets/{name}/cases.jsonl")
    return PreviousDataset.before(repository, commit, name, now)


def _check_lines(found: "DatasetChecks") -> list[str]:
    verdict = "passed" if found.passed else "FAILED"
    lines = [f"{found.name}: {verdict} ({found.cases} cases, {found.digest})"]
    return lines + [f"  {_MARKS[row.outcome]}  {row.text}" for row in found.checks]


def _row(registry: "Registry", name: str) -> dict[str, Any]:
    from penstock.scoring.case_set import dataset_digest, read_cases

    cases = read_cases(registry, name)
    head = registry.datasets[name]
    return {
        "name": name,
        "version": head.metadata.version,
        "owner": head.metadata.owner,
        "split": head.spec.split,
        "digest": dataset_digest(registry, name),
        "cases": len(cases),
        "withExpectation": sum(case.has_expected for case in cases),
        "fromRuns": sum(case.provenance is not None for case in cases),
        "clusters": len({case.cluster for case in cases if case.cluster is not None}),
        "tags": dict(Counter(tag for case in cases for tag in case.tags).most_common()),
        "provenance": head.spec.provenance,
    }


def _corrected(words: list[dict[str, Any]], run_id: str) -> Any:
    """The newest correction."""
    found = next((word["corrected"] for word in words if word.get("corrected") is not None), None)
    if found is None:
        now = "`agentctl feedback RUN --corrected FILE` says what the answer should have been"
        raise NotFound("nobody corrected the run's answer", where=f"run {run_id}", now=now)
    return found


def _expected(wanted: str, record: Any) -> Any:
    """The run's output, or what a file holds: JSON if it is JSON, else its text."""
    import orjson

    from penstock.errors import Refused

    if wanted == OUTPUT:
        if record.status != "finished":
            raise Refused(f"the run has no output: it {record.status}", where=f"run {record.run_id}", now="name a FILE")
        return record.output
    try:
        data = Path(wanted).read_bytes()
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"cannot be read as text: {error}", where=wanted, now="name a UTF-8 file, or `output`") from None
    try:
        return orjson.loads(data)
    except ValueError:
        return text.removesuffix("\n")
