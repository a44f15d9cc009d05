"""Regular expressions in files that many teams write: in linear time, so without look-around and back-references."""

import functools

import jsonschema_rs

PATTERN_LENGTH = 1_000
TEXT_LENGTH = 100_000


def pattern_fault(pattern: str) -> str | None:
    """What is wrong with a pattern, in one sentence; None if it is one."""
    if len(pattern) > PATTERN_LENGTH:
        return f"a pattern is longer than {PATTERN_LENGTH} characters"
    try:
        _compiled(pattern)
    except jsonschema_rs.ValidationError:
        return f"pattern {pattern!r} is no linear-time regular expression (no look-around, no back-references)"
    return None


def is_found(pattern: str, text: str) -> bool:
    """Whether a right pattern is found anywhere in the text; never in one that is longer than `TEXT_LENGTH`."""
    return len(text) <= TEXT_LENGTH and _compiled(pattern).is_valid(text)


@functools.lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> jsonschema_rs.Validator:
    schema = {"type": "string", "pattern": pattern}
    return jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions(size_limit=1_000_000))
