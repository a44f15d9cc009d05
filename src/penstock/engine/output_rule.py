"""OutputRule: what answers once the model's output broke its schema too often, as the agent declares it."""

from typing import Any

from penstock.contracts.json_pointer import ABSENT, filled
from penstock.engine.run import Run
from penstock.engine.shape import places
from penstock.engine.tool_door import ToolDoor
from penstock.errors import Fault

CALL_ID = "rule_1_1"
"""Of the call of a rule's tool; a run makes one at most."""
FAILURES = 2
"""Without a rule: the answer and one repair turn."""


class OutputRule:
    """The rule of one run's release; without a declared one it only says after how many failures a run fails."""

    def __init__(self, run: Run, tools: ToolDoor) -> None:
        fallback = run.compiled.spec.fallback
        self._rule = fallback.rule if fallback is not None else None
        self._run = run
        self._tools = tools

    @property
    def after_failures(self) -> int:
        """After how many outputs that broke their schema the model is asked no more."""
        return self._rule.after_failures if self._rule is not None else FAILURES

    async def answer(self, text: str, faults: list[Fault]) -> tuple[Any, list[Fault]]:
        """The output in place of the model's last, and its faults: those of the model's where there is no rule."""
        run, rule, shape = self._run, self._rule, self._run.compiled.output
        if rule is None:
            return None, faults
        times = f"{self.after_failures} times" if self.after_failures > 1 else "once"
        why = f"the output broke its schema {times}: {places(faults)}"
        tool = run.compiled.rule_tool
        to = tool.component.ref if tool is not None else "template"
        data = {"kind": "rule", "from": "output", "to": to, "why": why}
        run.fell_back(data, quiet=_is_on_record(run, data))
        if tool is None:
            output = filled(rule.template, run.call.input)
        else:
            told = [{"pointer": fault.pointer, "what": fault.what} for fault in faults]
            arguments = {"input": run.call.input, "faults": told, "output": text}
            output = await self._tools.consult(tool, arguments, CALL_ID)
        if output is ABSENT:
            return None, [Fault(shape.where, 0, 0, "", "the rule gave no answer")]
        return output, shape.faults(output)


def _is_on_record(run: Run, data: dict[str, Any]) -> bool:
    """Whether an earlier attempt of the run came as far."""
    past = run.past.events if run.past is not None else ()
    return any(event["type"] == "fallback.used" and event["data"] == data for event in past)
