import subprocess
import sys

_QUIET = """
import sys, threading
import penstock.llm.provider, penstock.llm.scripted.answer, penstock.testing.model_server
assert "litellm" not in sys.modules, "imported too early"
from penstock.llm import load
load.preload().join()
litellm = load.loaded()
assert litellm is sys.modules["litellm"] and load.load() is litellm
assert threading.active_count() == 1, threading.enumerate()
assert not (litellm.callbacks or litellm.success_callback or litellm.failure_callback or litellm.input_callback)
assert litellm.suppress_debug_info
"""


def test_litellm_comes_late_once_and_quietly() -> None:
    done = subprocess.run([sys.executable, "-c", _QUIET], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
