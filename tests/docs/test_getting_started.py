"""The commands of the guide, run as they stand, in their order, in one shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_every_command_of_the_guide_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / "getting-started.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) > 5
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "agentctl").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m penstock.cli.main "$@"\n')
    (bin_folder / "agentctl").chmod(0o755)
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada Author\n\temail = ada@example.org\n", "utf-8")
    surroundings = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "GIT_CONFIG_SYSTEM": os.devnull,
    }
    done = subprocess.run(
        ["bash", "-euxc", "\n".join(blocks)],
        cwd=tmp_path,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "refund-clerk@1.1.0 before dev: passed" in done.stdout
