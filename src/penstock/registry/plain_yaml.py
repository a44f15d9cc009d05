"""The quick way through YAML that holds nothing unusual, which is nearly all that people write.

The C composer builds the document at once, but keeps no trace of anchors, aliases and tags and recurses as deep as the
text nests. So only text that cannot hold any of these is read here; all other text, and every text with a fault, is
read by `strict_yaml`, which knows why it says no.
"""

import re
from collections.abc import Callable
from typing import Any

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.nodes import MappingNode, ScalarNode

MOST_CHARACTERS = 40_000
MOST_BRACKETS = 1_000
MOST_DEPTH = 50

# What may begin an anchor, an alias, a tag, a directive, a merge key, or nest without a bracket or a new line.
_UNUSUAL = re.compile(r"(?:^|[\s\[{,:?-])[&*!]|^%|<<|\?\s|-[ \t]+-\s", re.MULTILINE)


class Unusual(Exception):
    """The text is not for the quick way."""


class _Composer(CParser):
    """The C composer without resolving: what a scalar is, is said by `scalar_of`."""

    def resolve(self, kind: type, value: Any, implicit: Any) -> str:
        return "?"

    def descend_resolver(self, parent: Any, index: Any) -> None: ...

    def ascend_resolver(self) -> None: ...


def parse_plain(text: str, scalar_of: Callable[[str], Any]) -> Any:
    """The document's value; raises `Unusual` for everything that is not plainly good."""
    if len(text) > MOST_CHARACTERS or _UNUSUAL.search(text) or text.count("[") + text.count("{") > MOST_BRACKETS:
        raise Unusual
    try:
        root = _Composer(text).get_single_node()
    except YAMLError:
        raise Unusual from None
    return None if root is None else _value(root, scalar_of, MOST_DEPTH)


def _value(node: Any, scalar_of: Callable[[str], Any], depth: int) -> Any:
    if type(node) is ScalarNode:
        return node.value if node.style else scalar_of(node.value)
    if not depth:
        raise Unusual
    if type(node) is not MappingNode:
        return [_value(item, scalar_of, depth - 1) for item in node.value]
    mapping: dict[str, Any] = {}
    for key_node, item in node.value:
        key = key_node.value
        if type(key_node) is not ScalarNode or key in mapping:
            raise Unusual
        if not key_node.style and type(scalar_of(key)) is not str:
            raise Unusual
        mapping[key] = _value(item, scalar_of, depth - 1)
    return mapping
