"""`agentctl` from a process that has imported it already: `python warm_agentctl.py SOCKET`, until its input ends.

Each connection brings arguments, folder, environment and the three standard streams. The call runs in a fork of this
process, whose exit status is sent back. Imports, which are most of a command's time, are made once.
"""

import atexit
import gc
import importlib
import json
import os
import random
import select
import socket
import sys
import threading
from pathlib import Path

LONGEST_CALL = 1_000_000


def serve(place: str) -> None:
    """Answers calls at the socket until standard input ends."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            call, _ = listening.accept()
            with call:
                if os.fork() == 0:
                    listening.close()
                    answer(call)
            _reap()


def answer(call: socket.socket) -> None:
    """In the fork: becomes the command that is called; ends this process as the command's own would end."""
    from penstock.cli.main import main

    said, streams, _, _ = socket.recv_fds(call, LONGEST_CALL, 3)
    while piece := call.recv(LONGEST_CALL):
        said += piece
    words, folder, environment = json.loads(said)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    sys.argv = ["agentctl", *words]
    status = main()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    call.sendall(str(status).encode())
    os._exit(status)  # all that the parent imported would be taken apart piece by piece otherwise, for a second


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _import_all() -> None:
    from penstock.cli.main import COMMANDS
    from penstock.llm.load import load

    for module, _ in COMMANDS.values():
        importlib.import_module(f"penstock.cli.{module}")
    for name in ("penstock.adapters.langgraph", "penstock.scoring.rig", "penstock.gates.unit"):
        importlib.import_module(name)
    load()
    threads = len(list(Path("/proc/self/task").iterdir()))
    gc.freeze()
    assert threads == 1, f"{threads} threads: a fork would have only one of them"


if __name__ == "__main__":
    _import_all()
    serve(sys.argv[1])
