"""What becomes of processes, for tests that end them."""

from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether any thread of the process is alive; the first may be dead before the others."""
    try:
        stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return False
    return any(stat.rpartition(") ")[2][0] not in "ZX" for stat in stats)
