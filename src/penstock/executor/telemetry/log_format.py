"""Logs as lines for people, or as one JSON object a line; of neither is anything of a payload."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from penstock.engine.run import CURRENT_RUN
from penstock.governance.redaction import NotRedacted, redact

LogFormat = Literal["text", "json"]
LONGEST = 8_000
WITHHELD = "[withheld: it could not be redacted]"
_FRAMES = 8


def set_up_logs(form: LogFormat, *, access: bool = False) -> None:
    """Sends the process's logs to standard error; `access` adds a line for each request."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("penstock.access").setLevel(logging.INFO if access else logging.WARNING)


class JsonLines(logging.Formatter):
    """time, level, logger, message; runId, traceId, agent inside of a run; what a caller adds as `extra["fields"]`.

    Personal data and keys are replaced in every text. Of an exception there are its type and the places, not its
    words: they may quote what a model or a user said.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line: dict[str, Any] = {
            "time": at,
            "level": record.levelname,
            "logger": record.name,
            "message": _redacted(record.getMessage()),
        }
        call = CURRENT_RUN.get()
        if call is not None:
            line |= {"runId": call.run_id, "traceId": call.trace_id, "agent": call.release.name}
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _exception(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def _redacted(text: str) -> str:
    try:
        return str(redact(text[:LONGEST]).value)
    except NotRedacted:
        return WITHHELD


def _exception(error: BaseException) -> dict[str, Any]:
    """Its type, and where it came from: the innermost places last."""
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno} {trace.tb_frame.f_code.co_qualname}")
        trace = trace.tb_next
    return {"type": type(error).__name__, "at": places[-_FRAMES:]}
