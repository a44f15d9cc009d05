"""`agentctl schema`: the JSON Schemas of specs and records, and whether they still keep their promises."""

import json
from pathlib import Path

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.errors import WrongUse

FOLDER = "schemas"


@click.command()
@click.argument("kind", required=False)
@click.option("--write", is_flag=True, help="Write all of them to schemas/; refused where one breaks a released one.")
@click.option("--check", is_flag=True, help="Compare with schemas/: exit 1 when one is stale or breaks a released one.")
@json_option
def schema(kind: str | None, write: bool, check: bool, as_json: bool) -> int:
    """Print the JSON Schema of KIND (Agent, Prompt, Release, ...), or the kinds that there are."""
    from penstock.contracts.schema_export import KINDS, schema_of

    if write or check:
        if kind or (write and check):
            raise WrongUse("--write and --check take no KIND and not each other", now="agentctl schema --check")
        return _compare(project_settings().root / FOLDER, write=write, as_json=as_json)
    if kind is None:
        show({"kinds": list(KINDS)}, "\n".join(KINDS), as_json=as_json)
    else:
        document = schema_of(kind)
        show(document, json.dumps(document, indent=2), as_json=as_json)
    return 0


def _compare(folder: Path, *, write: bool, as_json: bool) -> int:
    broken, stale = schema_state(folder)
    if write and not broken:
        write_schemas(folder)
        show({"written": stale}, f"{len(stale)} written to {folder}", as_json=as_json)
        return 0
    lines = [*broken, *(f"{name}: is stale; `agentctl schema --write`" for name in stale if not broken)]
    show({"breaks": broken, "stale": stale}, "\n".join(lines) or "schemas are as released", as_json=as_json)
    return 1 if lines else 0


def schema_state(folder: Path) -> tuple[list[str], list[str]]:
    """(what breaks a released schema, names of files that differ or are missing)."""
    from penstock.contracts.compatibility import breaks
    from penstock.contracts.schema_export import KINDS, file_name, schema_of

    broken, stale = [], []
    known = {file_name(kind): kind for kind in KINDS}
    for file in sorted(folder.glob("*.json")):
        if file.name not in known:
            broken.append(f"{file.name}: its kind was removed")
            continue
        released = json.loads(file.read_text("utf-8"))
        broken += [f"{file.name}: {line}" for line in breaks(released, schema_of(known[file.name]))]
    for name, kind in known.items():
        file = folder / name
        if not file.is_file() or file.read_text("utf-8") != _text(kind):
            stale.append(name)
    return broken, stale


def write_schemas(folder: Path) -> None:
    """Writes the schema of every kind."""
    from penstock.contracts.schema_export import KINDS, file_name

    folder.mkdir(exist_ok=True)
    for kind in KINDS:
        (folder / file_name(kind)).write_text(_text(kind), "utf-8")


def _text(kind: str) -> str:
    from penstock.contracts.schema_export import schema_of

    return json.dumps(schema_of(kind), indent=2, ensure_ascii=False) + "\n"
