"""LiteLLM, imported once, late and quietly: the import takes seconds and 190 MB, and reaches out unless told not to."""

import importlib
import os
import threading
from typing import Any

from penstock.errors import Unavailable

_lock = threading.Lock()
_loaded: Any = None


def loaded() -> Any | None:
    """LiteLLM if it has been imported, else None: costs nothing."""
    return _loaded


def load() -> Any:
    """LiteLLM, with the scripted model known to it; imports it at the first call, from whichever thread.

    Raises `Unavailable` naming the extra when it is not installed.
    """
    global _loaded  # noqa: PLW0603 - one import for the process, whoever asks first
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _import()
    return _loaded


def preload() -> threading.Thread:
    """Begins the import in a thread of its own, so that readiness can wait for it; a failure shows at `load`."""
    thread = threading.Thread(target=_try_load, name="penstock-litellm-import", daemon=True)
    thread.start()
    return thread


def _try_load() -> None:
    try:
        load()
    except Unavailable:
        return  # the first call says so to whoever needs a model


def _import() -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else the import fetches a price table and leaves a thread
    try:
        litellm = importlib.import_module("litellm")
    except ImportError as error:
        raise Unavailable(
            f"LiteLLM cannot be imported: {error}", where="models", now='pip install "penstock[llm]"'
        ) from None
    litellm.suppress_debug_info = True  # else it prints advice to stdout with every error
    for callbacks in ("callbacks", "input_callback", "success_callback", "failure_callback"):
        setattr(litellm, callbacks, [])
    from penstock.llm.scripted.handler import register

    register(litellm)
    return litellm
