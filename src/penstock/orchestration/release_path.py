"""The resource through which assets reach the release path of a project."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from penstock.contracts.policy import Stage
from penstock.errors import PenstockError, Unavailable
from penstock.gates.evidence import EvidenceView
from penstock.orchestration.report_link import keep_report
from penstock.orchestration.stored_evidence import stored_view
from penstock.release.automatic import measured_plan
from penstock.release.plan import Plan, plan
from penstock.release.situation import read_situation
from penstock.release.workspace import Workspace, open_workspace
from penstock.settings import load_settings


class ReleasePath(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A project by its root folder; stores and clone are opened by each step anew, so that no step sees a stale one."""

    root: str

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """The project's release path, closed in the end; the driver makes the release store where there is none yet."""
        workspace = open_workspace(load_settings(Path(self.root)))
        try:
            if workspace.settings.driver == "dagster":
                workspace.releases.lineage(create=True)
            yield workspace
        finally:
            workspace.close()

    def evidence(self, workspace: Workspace, agent: str, version: str, stage: Stage) -> EvidenceView:
        """The evidence before a stage: measured and kept by the driver, else as the driver elsewhere stored it."""
        if workspace.settings.driver == "dagster":
            planned = measured_plan(workspace, agent, version, stage)
            keep_report(workspace, planned)
            return require_view(planned)
        stored = stored_view(workspace, agent, version, stage)
        if stored is not None:
            return stored
        return require_view(plan(read_situation(workspace, agent, version, stage, workspace.base_head())))


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
