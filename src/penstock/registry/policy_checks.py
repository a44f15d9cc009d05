"""Policy rules: patterns that can match something."""

import re
from typing import get_args

from penstock.contracts.policy import Action, Rule
from penstock.registry.document_faults import did_you_mean
from penstock.registry.documents import Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.strict_yaml import Path

ACTIONS: tuple[str, ...] = get_args(Action)
SUBJECTS = ("agent:", "team:", "tenant:", "user:")
RESOURCES = ("agents/", "tools/", "models/")
_RESOURCE_NAME = re.compile(r"[a-z0-9-]*\*?")


def check_policies(registry: Registry, faults: FaultList) -> None:
    """Names of rules are unique; each pattern is an exact name or ends in *."""
    for policy in registry.of("policies"):
        names: set[str] = set()
        for position, rule in enumerate(policy.spec.rules):
            place: Path = ("spec", "rules", position)
            if rule.name in names:
                faults.blame(policy.path, (*place, "name"), f"rule {rule.name!r} is there twice", "rename one of them")
            names.add(rule.name)
            _check_rule(policy.path, place, rule, faults)


def _check_rule(path: str, place: Path, rule: Rule, faults: FaultList) -> None:
    for key in ("actions", "subjects", "resources", "stages"):
        patterns = getattr(rule, key)
        if patterns == []:
            faults.blame(path, (*place, key), "is empty: the rule matches nothing", "leave it out to match anything")
        for position, pattern in enumerate(patterns or [] if key != "stages" else []):
            fault = _pattern_fault(key, pattern)
            if fault:
                faults.blame(path, (*place, key, position), *fault)


def _pattern_fault(key: str, pattern: str) -> tuple[str, str] | None:
    prefix = pattern.removesuffix("*")
    if "*" in prefix or not pattern:
        return f"{pattern!r} is no pattern", "an exact name, or a prefix that ends in *"
    is_open = prefix != pattern
    if key == "actions":
        known = [action for action in ACTIONS if action == pattern or (is_open and action.startswith(prefix))]
        if not known:
            return f"no action {pattern!r}", did_you_mean(pattern, ACTIONS) or f"actions: {', '.join(ACTIONS)}"
        return None
    starts = SUBJECTS if key == "subjects" else RESOURCES
    start = next((start for start in starts if prefix.startswith(start)), None)
    if start is None:
        if is_open and any(known.startswith(prefix) for known in starts):
            return None
        return f"{pattern!r} names no {key[:-1]}", f"starts with one of {', '.join(starts)}"
    if key == "resources" and not _RESOURCE_NAME.fullmatch(pattern[len(start) :]):
        return f"{pattern!r} is no resource", f"{start}<name>, without a version"
    if prefix == start and not is_open:
        return f"{pattern!r} names nothing", f"{start}<name>, or {start}*"
    return None
