"""LiteLLM, imported once, late and quietly: the import takes seconds and 190 MB, and reaches out unless told not to."""

import importlib
import os
import threading
import warnings
from typing import Any

from penstock.errors import Unavailable
from penstock.garbage import no_collection

_lock = threading.Lock()
_loaded: Any = None


def loaded() -> Any | None:
    """LiteLLM if it has been imported, else None: costs nothing."""
    return _loaded


def load() -> Any:
    """LiteLLM, with the scripted model known to it; imports it at the first call, from whichever thread.

    Raises `Unavailable` naming the extra when it is not installed.
    """
    global _loaded  # one import for the process, whoever asks first
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
        with warnings.catch_warnings(), no_collection():
            warnings.simplefilter("ignore")  # what LiteLLM's own types make pydantic say is nobody's to mend here
            litellm: Any = importlib.import_module("litellm")
            _complete_types(litellm)
    except ImportError as error:
        raise Unavailable(
            f"LiteLLM cannot be imported: {error}", where="models", now='pip install "penstock[llm]"'
        ) from None
    litellm.suppress_debug_info = True  # else it prints advice to stdout with every error
    litellm.disable_streaming_logging = True  # else each stream is put together again for callbacks that do not exist
    for callbacks in ("callbacks", "input_callback", "success_callback", "failure_callback"):
        setattr(litellm, callbacks, [])
    from penstock.llm.scripted.handler import register

    register(litellm)
    return litellm


def _complete_types(litellm: Any) -> None:
    """Has pydantic finish the types of an answer now; left alone it does so, with a warning, amid the first stream."""
    types = importlib.import_module("litellm.types.utils")
    for kind in (types.Delta, types.Message, types.StreamingChoices, types.Choices, litellm.ModelResponseStream):
        kind.model_rebuild(force=True)
