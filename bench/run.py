"""All benchmarks, one after the other: each prints its figures beside a peer or a limit of the same run."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LONGEST_S = 600


def main() -> int:
    """Runs each benchmark in a process of its own; returns 1 if one could not be run."""
    broken = []
    for path in sorted(HERE.glob("*.py")):
        if path.name == Path(__file__).name:
            continue
        print(f"\n== {path.stem}", flush=True)
        try:
            done = subprocess.run([sys.executable, str(path)], timeout=LONGEST_S, check=False)
        except subprocess.TimeoutExpired:
            print(f"{path.stem}: stopped after {LONGEST_S} s")
            broken.append(path.stem)
            continue
        if done.returncode:
            broken.append(path.stem)
    if broken:
        print(f"\nnot run to the end: {', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
