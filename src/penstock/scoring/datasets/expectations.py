"""Expectations on a table of cases, judged by Great Expectations: loaded late, once, and kept quiet.

The context is ephemeral: nothing is written, nothing is sent anywhere.
"""

import importlib
import importlib.util
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

from penstock.errors import Unavailable
from penstock.garbage import no_collection
from penstock.scoring.datasets.check_row import CheckRow

MOST_SHOWN = 20
Frame = Mapping[str, Sequence[Any]]
# Great Expectations knows one current context a process.
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation by its own name, on a column of the frame (empty = on the table).

    `shown` is the dataset's column that it is about, `limit` what is asked of it; both are for people.
    """

    expectation: str
    frame_column: str
    shown: str
    limit: str
    options: dict[str, Any] = field(default_factory=dict)


def library_version() -> str:
    """The version of Great Expectations; raises `Unavailable` when it is not installed."""
    if importlib.util.find_spec("great_expectations") is None or importlib.util.find_spec("pandas") is None:
        raise Unavailable(
            "datasets are checked by Great Expectations, which is not installed",
            where="the extra `datasets`",
            now="pip install 'penstock[datasets]'",
        )
    return version("great_expectations")


def judge(frame: Frame, expected: Sequence[Expected], labels: Sequence[str]) -> list[CheckRow]:
    """A row for each expectation, in their order; `labels` name the rows of the frame.

    Raises `Unavailable` without the library, and where an expectation could not be judged: that is no failure.
    """
    if not expected:
        return []
    library_version()
    try:
        with _LOCK, _quiet():
            results = _validate(frame, expected)
    except Exception as error:  # a library's fault is no dataset's
        what = f"Great Expectations could not judge the dataset: {type(error).__name__}"
        raise Unavailable(what, where="the extra `datasets`", now="see that its versions fit: `pip check`") from error
    return [_row(one, results[at], frame, labels) for at, one in enumerate(expected)]


def _validate(frame: Frame, expected: Sequence[Expected]) -> dict[int, Any]:
    """Position of the expectation -> its result."""
    gx = _library()
    import pandas

    table = pandas.DataFrame({name: pandas.Series(list(values), dtype=object) for name, values in frame.items()})
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("datasets").add_dataframe_asset("cases")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": table})
    suite = gx.ExpectationSuite(name="cases", expectations=[_made(one, at) for at, one in enumerate(expected)])
    found = batch.validate(suite, result_format="COMPLETE")
    return {int(result.expectation_config.meta["at"]): result for result in found.results}


def _made(one: Expected, at: int) -> Any:
    import great_expectations.expectations as library

    name = "".join(word.capitalize() for word in one.expectation.split("_"))
    column = {"column": one.frame_column} if one.frame_column else {}
    return getattr(library, name)(**column, **one.options, meta={"at": at})


def _row(one: Expected, result: Any, frame: Frame, labels: Sequence[str]) -> CheckRow:
    raised = result.exception_info or {}
    if raised.get("raised_exception") or any(
        isinstance(v, dict) and v.get("raised_exception") for v in raised.values()
    ):
        raise Unavailable(
            f"{one.expectation} could not be judged",
            where=f"column {one.shown or 'of the table'}",
            now="see the values",
        )
    details = result.result
    if "unexpected_count" not in details:
        seen = str(details.get("observed_value", ""))
        return CheckRow(one.expectation, one.shown, "passed" if result.success else "failed", seen, one.limit)
    if result.success:
        return CheckRow(one.expectation, one.shown, "passed", f"{details['element_count']} cases", one.limit)
    where = details.get("unexpected_index_list") or []
    values = frame[one.frame_column]
    listed = [_told(labels[at], values[at]) for at in where[:MOST_SHOWN]]
    more = f"; and {len(where) - MOST_SHOWN} more" if len(where) > MOST_SHOWN else ""
    observed = f"{details['unexpected_count']} of {details['element_count']} cases: {'; '.join(listed)}{more}"
    return CheckRow(one.expectation, one.shown, "failed", observed, one.limit)


def _told(label: str, value: Any) -> str:
    """The case, with what is told of it where that is a `Note`: values themselves may be what must not be shown."""
    return f"{label}: {value}" if isinstance(value, Note) else label


class Note(str):
    """A text of the frame that was made to be shown."""

    __slots__ = ()


@cache
def _library() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    tqdm: Any = importlib.import_module("tqdm").tqdm

    tqdm.monitor_interval = 0  # else a thread for progress bars that nobody sees
    with no_collection():
        import great_expectations

    return great_expectations


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings and log lines of the library are not the user's."""
    logger = logging.getLogger("great_expectations")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
