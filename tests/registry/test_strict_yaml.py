import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from penstock.registry.plain_yaml import Unusual, parse_plain
from penstock.registry.strict_yaml import Places, parse, scalar

EVIL = {
    "anchor": "a: &x 1",
    "alias": "a: &x 1\nb: *x",
    "alias as a key": "a: 1\n*x : 2",
    "billion laughs": "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]",
    "tag": "a: !!python/object/apply:os.system [echo]",
    "own tag": "a: !thing 1",
    "non-specific tag": "a: ! 1",
    "merge key": "<<: {a: 1}\nb: 2",
    "duplicate key": "a: 1\nb: 2\na: 3",
    "duplicate key by quotes": 'a: 1\n"a": 2',
    "two documents": "a: 1\n---\nb: 2",
    "directive": "%YAML 1.1\n---\na: 1",
    "number as key": "1: a",
    "null as key": "~: a",
    "list as key": "[a]: b",
    "mapping as key": "? {a: 1}\n: b",
    "large integer": "a: 9007199254740993",
    "very large integer": f"a: {'9' * 10_000}",
    "infinity": "a: .inf",
    "not a number": "a: .nan",
    "overflow": "a: 1e999",
    "control character": "a: \x07",
    "unclosed": "a: [1, 2",
    "tab": "a:\n\t- 1",
    "deep flow": "[" * 100_000,
    "deep sequence": "- " * 100_000 + "1",
    "deep mapping": "\n".join(f"{' ' * n}a:" for n in range(400)),
    "deep explicit": "? " * 50_000,
    "mixed depth": "".join(f"{'  ' * n}- a:\n" for n in range(300)),
    "too many values": "a: [" + "1," * 50_000 + "1]",
    "too large": "a: " + "x" * 300_000,
    "many keys": "\n".join(f"k{n}: {n}" for n in range(15_000)),
    "long quoted": 'a: "' + "\\u0041" * 30_000,
    "many brackets": "{a: " * 2_000,
    "many question marks": "{" + "?," * 20_000,
}


@pytest.mark.parametrize("name", EVIL)
def test_evil_text_is_refused_with_a_place(name: str) -> None:
    _, problems = parse(EVIL[name])
    assert problems, name
    assert all(problem.line >= 1 and problem.column >= 1 and problem.what for problem in problems)


# The peak of this process alone: getrusage would show the parent's, from before exec.
CHILD = """
import pathlib, resource, sys, time
from penstock.registry.strict_yaml import parse
text = sys.stdin.read()
start = time.process_time()
_, problems = parse(text)
seconds = time.process_time() - start
status = pathlib.Path("/proc/self/status")
if status.exists():
    peak = int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:")).split()[1])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(bool(problems), seconds, peak / 1024)
"""


@pytest.mark.parametrize("name", ["deep flow", "deep sequence", "deep explicit", "too many values", "many keys"])
def test_evil_text_is_refused_soon_and_small(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=EVIL[name], capture_output=True, text=True, timeout=60, check=True
    )
    refused, seconds, mebibytes = done.stdout.split()
    assert refused == "True"
    assert float(seconds) < 1
    assert float(mebibytes) < 200


def test_scalars_are_of_the_core_types_and_the_rest_stays_text() -> None:
    text = "a: NO\nb: 010\n"
    text += "c: 2026-11-20\nd: 0x1f\ne: 0o17\nf: -1.5e3\ng: ~\nh: True\ni: on\nj: 1_000\n"
    text += "k: '1'\nl: 12:30\nm: .5"
    assert parse(text) == (
        {
            "a": "NO",
            "b": "010",
            "c": "2026-11-20",
            "d": 31,
            "e": 15,
            "f": -1500.0,
            "g": None,
            "h": True,
            "i": "on",
            "j": "1_000",
            "k": "1",
            "l": "12:30",
            "m": 0.5,
        },
        [],
    )


def test_places_are_those_of_values_and_keys() -> None:
    places = Places()
    parse("a: 1\nb:\n  - c: {d: e}\n  - f", first_line=3, places=places)
    assert places.of(("b", 0, "c", "d")) == (5, 12)
    assert places.of(("b", 0, "c", "d"), key=True) == (5, 9)
    assert places.of(("b", 1)) == (6, 5)
    assert places.of(("b", 1, "nowhere")) == (6, 5)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co")), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcNO01-~", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_the_quick_way_says_what_the_strict_one_says(value: Any, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    strict, problems = parse(text, places=Places())
    try:
        plain = parse_plain(text, scalar)
    except (Unusual, ValueError):
        return
    assert problems == []
    assert plain == strict
    assert repr(plain) == repr(strict)


@given(st.text("ab:-[]{},&*!?|>'\"% \n#<~1.0", max_size=60))
def test_nothing_that_the_strict_way_refuses_passes_the_quick_one(text: str) -> None:
    strict, problems = parse(text, places=Places())
    try:
        plain = parse_plain(text, scalar)
    except (Unusual, ValueError):
        return
    assert problems == []
    assert plain == strict
