"""The resource through which assets reach the release path of a project."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from penstock.contracts.policy import Stage
from penstock.errors import PenstockError, Unavailable
from penstock.gates.context import Progress
from penstock.gates.evidence import EvidenceView
from penstock.release.automatic import measured_plan
from penstock.release.plan import Plan, plan
from penstock.release.situation import read_situation
from penstock.release.workspace import Workspace, open_workspace
from penstock.settings import load_settings


class ReleasePath(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A project by its root folder; stores and clone are opened by each step anew, so that no step sees a stale one."""

    root: str

    def workspace(self) -> Workspace:
        """The project's release path; the driver makes the release store where there is none yet."""
        workspace = open_workspace(load_settings(Path(self.root)))
        if workspace.settings.driver == "dagster":
            workspace.releases.lineage(create=True)
        return workspace

    def planned(self, workspace: Workspace, agent: str, version: str, stage: Stage) -> Plan:
        """The plan at the head as last fetched; with `driver = dagster` the gates run that have not yet."""
        if workspace.settings.driver == "dagster":
            return measured_plan(workspace, agent, version, stage, Quiet())
        return plan(read_situation(workspace, agent, version, stage, workspace.base_head()))


class Quiet(Progress):
    """Hears nothing: what gates find is shown as checks."""

    def started(self, gate: str) -> None:
        """A gate begins."""

    def finished(self, result: object, *, reused: bool) -> None:
        """A gate's result stands."""


@contextmanager
def failing() -> Iterator[None]:
    """Errors as Dagster's: what no retry can mend is never retried."""
    try:
        yield
    except Unavailable as error:
        raise dg.Failure(str(error)) from None
    except PenstockError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def require_view(planned: Plan) -> EvidenceView:
    """The evidence of a plan; raises `dg.Failure` for a version that does not resolve."""
    view = planned.situation.view
    if view is None:
        raise refusal(planned)
    return view


def refusal(planned: Plan) -> dg.Failure:
    """The plan's unmet conditions as a failure that no retry can mend."""
    of = planned.situation
    sentences = [condition.sentence for condition in planned.unmet]
    return dg.Failure(
        f"{of.agent}@{of.version} may not go to {of.stage}: {'; '.join(sentences)}",
        metadata={"unmet": dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in sentences))},
        allow_retries=False,
    )
