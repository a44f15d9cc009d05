"""Faults of the model server: what a provider may do wrong or otherwise, named in the model's name or beforehand.

`qa-rules+latency-50+status-429` waits 50 ms and then refuses. The names:
`latency-<ms>` wait first, `status-<code>` an error (429 with Retry-After), `garbage` a body that is no JSON,
`wrong-types` JSON of another shape, `no-choices` an empty list of choices, `silent` neither text nor tool calls,
`no-usage` no token counts, `too-long` a refusal of more tokens than the model takes, `hang` no answer at all,
`slow-<ms>` a pause before each streamed piece, `cut` the connection ends in the middle of the answer,
`pieces-<n>` streamed text comes in pieces of n characters.
"""

import re
from dataclasses import dataclass, replace

from penstock.errors import WrongUse

_NUMBERED = re.compile(r"(latency|status|slow|pieces)-(\d{1,6})")
_PLAIN = frozenset({"garbage", "wrong-types", "no-choices", "silent", "no-usage", "too-long", "hang", "cut"})


@dataclass(frozen=True, slots=True)
class ModelFault:
    """Everything that goes wrong with one answer; nothing by default."""

    latency_ms: int = 0
    status: int = 200
    slow_ms: int = 0
    piece: int | None = None
    kinds: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, names: str) -> "ModelFault":
        """From names joined by `+`, empty ones left aside; raises `WrongUse` for a name that is none."""
        fault = cls()
        for name in filter(None, names.split("+")):
            numbered = _NUMBERED.fullmatch(name)
            if numbered:
                number = int(numbered[2])
                fault = _with_number(fault, numbered[1], number)
            elif name in _PLAIN:
                fault = replace(fault, kinds=fault.kinds | {name})
            else:
                raise WrongUse(
                    f"no fault {name!r}",
                    now=f"faults: latency-N, status-N, slow-N, pieces-N, {', '.join(sorted(_PLAIN))}",
                )
        return fault


def _with_number(fault: ModelFault, name: str, number: int) -> ModelFault:
    match name:
        case "latency":
            return replace(fault, latency_ms=number)
        case "status":
            return replace(fault, status=number)
        case "slow":
            return replace(fault, slow_ms=number)
    return replace(fault, piece=max(1, number))
