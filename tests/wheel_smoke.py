"""Tries the built wheel as a user has it: installed, with src/ out of sight, in an empty folder."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main(dist: Path) -> int:
    (wheel,) = dist.glob("penstock-*.whl")
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
        subprocess.run(pip, check=True)
        # The editable install is a .pth file: -S hides it; the wheel and its dependencies are named instead.
        dependencies = next(path for path in sys.path if path.endswith("site-packages"))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), dependencies])}
        identity = {"GIT_AUTHOR_NAME": "Wheel", "GIT_AUTHOR_EMAIL": "wheel@example.org"}
        identity |= {"GIT_COMMITTER_NAME": "Wheel", "GIT_COMMITTER_EMAIL": "wheel@example.org"}
        project = Path(folder, "project")

        def agentctl(*words: str, cwd: Path) -> str:
            command = [sys.executable, "-S", "-m", "penstock.cli.main", *words]
            done = subprocess.run(
                command, cwd=cwd, env=environment | identity, capture_output=True, text=True, timeout=120
            )
            if done.returncode:
                raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
            return done.stdout

        where = [sys.executable, "-S", "-c", "import penstock; print(penstock.__file__)"]
        place = subprocess.run(where, env=environment, cwd=folder, capture_output=True, text=True, check=True).stdout
        if not place.startswith(str(site)):
            raise SystemExit(f"not the wheel is tried, but {place}")
        agentctl("--help", cwd=Path(folder))
        agentctl("init", str(project), cwd=Path(folder))
        agentctl("new", "agent", "wheel-agent", cwd=project)
        agentctl("validate", cwd=project)
        agentctl("check", cwd=project)
    print("wheel: init, new agent, validate and check pass without src/")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
