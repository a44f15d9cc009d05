"""What is evaluated: anything that answers a case. An agent's release is one; a bare model call is another."""

from typing import Protocol

from penstock.scoring.case_set import EvalCase
from penstock.scoring.trial import Trial, TrialKey


class Subject(Protocol):
    """One side of an evaluation."""

    @property
    def title(self) -> str:
        """What reports call it, such as agent@version."""
        ...

    @property
    def model(self) -> str:
        """The name of the model that it asks, for the pace."""
        ...

    def key(self, case: EvalCase, repeat: int) -> TrialKey:
        """Under what its trial of a case is kept."""
        ...

    async def run(self, case: EvalCase, repeat: int) -> Trial:
        """One trial. What goes wrong in the run is a trial with a failure; raises only what nobody foresaw."""
        ...
