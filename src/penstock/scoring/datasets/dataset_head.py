"""The dataset.yaml of a new dataset, as its owner goes on to edit it."""

from typing import Any

from penstock.contracts.dataset import Dataset
from penstock.contracts.document import API_VERSION
from penstock.errors import Invalid
from penstock.registry.document_faults import model_faults, problem_faults
from penstock.registry.layout import dataset_paths
from penstock.registry.strict_yaml import Places, parse

_WIDTH = 110


def dataset_head(name: str, owner: str, provenance: str, schema: dict[str, Any], split: str = "test") -> bytes:
    """The file's bytes; raises `Invalid` for what would not be read back as a dataset."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes no anchors: strict YAML knows none."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    document = {
        "apiVersion": API_VERSION,
        "kind": "Dataset",
        "metadata": {"name": name, "version": "1.0.0", "owner": owner},
        "spec": {"provenance": provenance, "split": split, "schema": schema},
    }
    text = yaml.dump(document, Dumper=Plain, sort_keys=False, allow_unicode=True, width=_WIDTH)
    _require_readable(name, text, document)
    return text.encode()


def _require_readable(name: str, text: str, document: dict[str, Any]) -> None:
    from pydantic import ValidationError

    path = dataset_paths(name)[0]
    value, problems = parse(text)
    faults = problem_faults(path, problems)
    try:
        Dataset.model_validate(value)
    except ValidationError as error:
        faults += model_faults(path, Dataset, error, value, Places())
    if faults or value != document:
        raise Invalid("no dataset.yaml can be made of this", where=path, now="see the faults", faults=faults)
