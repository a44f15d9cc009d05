"""What is wrong with the rules of a suite by which outputs are compared, for whoever validates the suite."""

from collections.abc import Iterator

from penstock.contracts.eval_suite import DiffRules
from penstock.contracts.json_path import path_fault
from penstock.scoring.diff.json_place import Place


def rule_faults(rules: DiffRules) -> Iterator[tuple[Place, str]]:
    """The place below `diff`, and one sentence, of each path that is no RFC 9535 JSON path."""
    paths: list[tuple[Place, str]] = [(("ignore", at), path) for at, path in enumerate(rules.ignore)]
    paths += [(("tolerances", at, "path"), one.path) for at, one in enumerate(rules.tolerances)]
    paths += [(("unordered", at), path) for at, path in enumerate(rules.unordered)]
    for place, path in paths:
        wrong = path_fault(path)
        if wrong is not None:
            yield place, wrong
