import subprocess
import sys

SETTLED = """
import gc
from penstock.garbage import settle
kept = [[] for _ in range(1_000)]
settle()
assert not any(one is kept[0] for one in gc.get_objects())
ring = []
ring.append(ring)
del ring
print(gc.collect(), gc.get_freeze_count() > 1_000)
"""


def test_what_is_there_is_passed_by_and_what_comes_is_collected() -> None:
    told = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True).stdout.split()
    assert told == ["1", "True"]
