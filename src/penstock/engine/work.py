"""What a run does between start and end: the runtime's turn, the check of its output, repair turns and the rule."""

from typing import Any

import orjson

from penstock.contracts.canonical import canonical
from penstock.engine.failure import Failure
from penstock.engine.output_rule import OutputRule
from penstock.engine.run import Run
from penstock.engine.shape import Shape, places
from penstock.errors import Fault
from penstock.pal import Doors, Message, RunOutcome, RunRequest, Runtime


class RuntimeWork:
    """One run's work on one runtime."""

    def __init__(
        self, run: Run, runtime: Runtime, doors: Doors, messages: tuple[Message, ...], rule: OutputRule
    ) -> None:
        self._run = run
        self._runtime = runtime
        self._doors = doors
        self._messages = messages
        self._rule = rule

    async def __call__(self) -> Any:
        """The output that fits the agent's schema; the run is stopped if neither the model nor its rule gives one."""
        shape, messages = self._run.compiled.output, self._messages
        turns = 0
        while True:
            outcome = await self._turn(messages)
            output, faults = read_output(shape, outcome.output)
            turns += 1
            if not faults or turns >= self._rule.after_failures:
                break
            messages = (*messages, *outcome.messages, {"role": "user", "content": _repair_text(faults)})
        if faults:
            output, faults = await self._rule.answer(outcome.output, faults)
        if faults:
            what = f"the output breaks its schema after {_told(turns - 1)}: {places(faults)}"
            self._run.check(Failure("schema", what, shape.where, "see the run's output in its journal"))
        return output

    async def _turn(self, messages: tuple[Message, ...]) -> RunOutcome:
        run = self._run
        request = RunRequest(
            run.call.run_id, messages, run.compiled.offers, run.compiled.response_format, run.call.stream
        )
        return await self._runtime.run(run.compiled.release, request, self._doors)


def read_output(shape: Shape, text: str) -> tuple[Any, list[Fault]]:
    """The output as the agent's schema means it, and its faults: text stays text where that fits, else it is JSON."""
    if shape.is_text or (not shape.is_object and shape.fits(text)):
        return text, shape.faults(text)
    try:
        value = orjson.loads(text)
        canonical(value)  # what has no canonical form has no digest either
    except (ValueError, TypeError) as error:
        return None, [Fault(shape.where, 0, 0, "", f"the text is not JSON: {error}")]
    return value, [] if shape.fits(value) else shape.faults(value)


def _told(repairs: int) -> str:
    if repairs == 1:
        return "one repair turn"
    return f"{repairs} repair turns" if repairs else "the first answer"


def _repair_text(faults: list[Fault]) -> str:
    named = "\n".join(f"- {fault.pointer or '/'}: {fault.what}" for fault in faults)
    return f"Your answer does not fit the required JSON schema:\n{named}\nAnswer again with the whole JSON only."
