"""Runs a command for as long as its parent lives: `python -m penstock.orchestration.child COMMAND ...`.

The parent holds the other end of standard input. When that closes, for whatever reason, the command is ended, so that
nothing outlives `agentctl dev`.
"""

import signal
import subprocess
import sys
import threading

GRACE_S = 40


def main(command: list[str]) -> int:
    """Starts the command, passes SIGTERM on, and returns its exit status."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and says so by SIGTERM

    def watch() -> None:
        sys.stdin.buffer.read()
        child.terminate()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
