"""How long a command takes as a whole process, beside a bare interpreter in the same run."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 11
AGENTCTL = [sys.executable, "-m", "penstock.cli.main"]


def seconds(command: list[str], cwd: Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Prints medians of the wall time, seconds, and the ratio to `python -c pass`."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        subprocess.run([*AGENTCTL, "init", str(project)], check=True, capture_output=True)
        commands = {
            "python -c pass (limit)": [sys.executable, "-c", "pass"],
            "agentctl --help (<= 0.3 s)": [*AGENTCTL, "--help"],
            "agentctl validate (<= 0.5 s)": [*AGENTCTL, "validate"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):  # in turn, so that a noisy minute meets all of them
            for name, command in commands.items():
                times[name].append(seconds(command, project))
    limit = statistics.median(times["python -c pass (limit)"])
    print(f"{'whole process, median of ' + str(ROUNDS):38} {'s':>7} {'x limit':>8}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:38} {median:7.3f} {median / limit:8.1f}")


if __name__ == "__main__":
    main()
