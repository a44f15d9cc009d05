"""The limits that a pipeline may declare on a difference; the gates `diff` and `shadow` share them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from penstock.errors import Unavailable

if TYPE_CHECKING:
    from penstock.scoring.diff.difference import ReleaseDifference

Share = Annotated[float, Field(ge=0, le=1)]
Rise = Annotated[float, Field(ge=0, le=1_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceLimits:
    """Greatest values that pass; None = not asked. Shares are 0..1, a rise of 0.1 is 10 %."""

    changed_share: float | None = None
    cost_rise: float | None = None
    p95_rise: float | None = None
    success_drop: float | None = None

    @property
    def asked(self) -> dict[str, float]:
        """What is asked, under the names of a pipeline file."""
        declared = {
            "maxChangedShare": self.changed_share,
            "maxCostRise": self.cost_rise,
            "maxP95Rise": self.p95_rise,
            "maxSuccessDrop": self.success_drop,
        }
        return {name: value for name, value in declared.items() if value is not None}

    def missed(self, difference: "ReleaseDifference") -> list[str]:
        """One sentence for each limit that is not held; raises `Unavailable` when one cannot be judged."""
        found = [
            _missed("outputs changed", difference.artifact_share, self.changed_share, "maxChangedShare"),
            _missed("more cost", difference.cost.rise, self.cost_rise, "maxCostRise"),
            _missed("slower at p95", difference.slo.p95_rise, self.p95_rise, "maxP95Rise"),
            _missed("fewer runs finished", difference.slo.success_drop, self.success_drop, "maxSuccessDrop"),
        ]
        return [sentence for sentence in found if sentence]


def difference_figures(difference: "ReleaseDifference") -> dict[str, Any]:
    """What the limits are about, as JSON; null = not known."""
    cost = difference.cost.rise
    return {
        "pairs": len(difference.pairs),
        "changedShare": difference.artifact_share,
        "eventsChangedShare": difference.events_share,
        "costRise": None if cost is None or math.isinf(cost) else cost,
        "p95Rise": difference.slo.p95_rise,
        "successDrop": difference.slo.success_drop,
    }


def _missed(what: str, measured: float | None, limit: float | None, name: str) -> str:
    if limit is None:
        return ""
    if measured is None:
        raise Unavailable(
            f"{name} cannot be judged: {'a price' if name == 'maxCostRise' else 'a figure'} is not known",
            now="give the models a price" if name == "maxCostRise" else "see the runs in the report",
        )
    return f"{measured:.1%} {what}, more than {limit:.1%}" if measured > limit else ""
