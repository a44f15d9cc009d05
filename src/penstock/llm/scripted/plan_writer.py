"""A test plan from test cases: suites by type, an order by priority (and risk), effort, entry and exit criteria."""

from typing import Any

from penstock.llm.scripted.conversation import Conversation
from penstock.llm.scripted.look_up import hits
from penstock.llm.scripted.phrases import Phrases, phrases
from penstock.llm.scripted.words import shorten

_PRIORITIES = ("high", "medium", "low")
_RISK = ("permission", "negative", "boundary", "timeout", "state", "positive")
_MINUTES_PER_CASE = 5
_MINUTES_PER_STEP = 2
_RISKS = 5
_RISK_CHARACTERS = 160


def write_plan(conversation: Conversation) -> dict[str, Any]:
    """The plan for the test cases of the input. Minutes are 5 a case and 2 a step.

    Where the prompt speaks of risk, permissions and prohibitions go before limits within a priority.
    """
    say = phrases(conversation.language)
    cases = _cases(conversation)
    rank = _RISK if conversation.asks_for(r"\brisk") else ()
    ordered = sorted(cases, key=lambda case: (_priority(case), _place(rank, str(case.get("type", "")))))
    suites = _suites(ordered, say)
    product = conversation.product or say.product
    return {
        "plan": {
            "title": say.plan_title.format(product=product, count=len(cases)),
            "suites": suites,
            "order": [_id(case, position) for position, case in enumerate(ordered)],
            "totalMinutes": sum(suite["minutes"] for suite in suites),
            "entryCriteria": [criterion.format(product=product) for criterion in say.entry],
            "exitCriteria": [say.exit_high, say.exit_all.format(count=len(cases))],
            "risks": _risks(conversation, say),
        }
    }


def _cases(conversation: Conversation) -> list[dict[str, Any]]:
    document = conversation.document
    listed = document.get("testCases") if isinstance(document, dict) else document
    cases = [case for case in listed if isinstance(case, dict)] if isinstance(listed, list) else []
    return cases or [{"id": "TC-001", "title": conversation.text, "type": "positive", "priority": "medium"}]


def _priority(case: dict[str, Any]) -> int:
    return _place(_PRIORITIES, str(case.get("priority", "")))


def _place(ranks: tuple[str, ...], name: str) -> int:
    return ranks.index(name) if name in ranks else len(ranks)


def _id(case: dict[str, Any], position: int) -> str:
    return str(case.get("id") or f"TC-{position + 1:03d}")


def _suites(ordered: list[dict[str, Any]], say: Phrases) -> list[dict[str, Any]]:
    suites: dict[str, dict[str, Any]] = {}
    for position, case in enumerate(ordered):
        kind = str(case.get("type") or "positive")
        priority = _PRIORITIES[min(_priority(case), len(_PRIORITIES) - 1)]
        name = say.suite.format(kind=say.kinds.get(kind, kind))
        suite = suites.setdefault(kind, {"name": name, "priority": priority, "testCases": [], "minutes": 0})
        suite["testCases"].append(_id(case, position))
        steps = case.get("steps")
        suite["minutes"] += _MINUTES_PER_CASE + _MINUTES_PER_STEP * (len(steps) if isinstance(steps, list) else 1)
    return list(suites.values())


def _risks(conversation: Conversation, say: Phrases) -> list[str]:
    return [
        say.risk.format(id=hit["id"], text=shorten(str(hit.get("text", "")), _RISK_CHARACTERS))
        for hit in hits(conversation)[:_RISKS]
    ]
