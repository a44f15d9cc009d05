"""PaidProvider: a model provider that is asked only once the money for it is set aside."""

from penstock.engine.controls import Budgets, Reservation
from penstock.engine.deployment import Deployment
from penstock.engine.failure import Failure
from penstock.engine.run import Run
from penstock.errors import BudgetSpent, Unavailable
from penstock.pal import CallRefused, ModelAnswer, ModelCall, ModelProvider


class Unaffordable(Exception):
    """The run ends here: it, or one of the budgets that bind it, does not hold the call."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what)
        self.failure = failure


class PaidProvider:
    """Sets the most that a call can cost aside, and settles it after: each attempt for itself, since each may cost.

    Every run is held to its own limit so; the budgets of agent, team and tenant are those of live runs alone.
    """

    def __init__(self, provider: ModelProvider, budgets: Budgets, deployment: Deployment, run: Run) -> None:
        self._provider = provider
        self._budgets = budgets
        self._deployment = deployment
        self._run = run

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer; raises `Unaffordable`. A call that ends without an answer may have cost all that it could."""
        run = self._run
        most_usd = self._deployment.most_usd(call.messages, call.tools, call.response_format)
        failure = run.meter.set_aside(most_usd)
        if failure is not None:
            raise Unaffordable(failure)
        reservation: Reservation | None = None
        spent_usd: float | None = 0.0
        try:
            if run.spends:
                reservation = await self._reserve(most_usd)
            spent_usd = None
            answer = await self._provider.complete(call)
            spent_usd = answer.usage.cost_usd
            return answer
        except CallRefused:
            spent_usd = 0.0
            raise
        finally:
            run.meter.put_back(most_usd, spent_usd)
            if reservation is not None:
                reservation.settle(spent_usd)
                self._alert()

    async def _reserve(self, most_usd: float | None) -> Reservation:
        run = self._run
        try:
            return await self._budgets.reserve(run.claim, self._deployment.ref, most_usd, run.alerted)
        except BudgetSpent as refusal:
            failure = Failure("budget", refusal.what, refusal.where, refusal.now, refusal.ledger)
        except Unavailable as problem:
            failure = Failure("budget", problem.what, problem.where, problem.now)
        raise Unaffordable(failure)

    def _alert(self) -> None:
        told = self._run.meter.soft_alert()
        if told is not None:
            self._run.alerted({**told, "holder": f"run:{self._run.call.run_id}", "period": None})
