"""The report on what the gates found, kept beside the evidence, and the link under which a browser finds it."""

import dagster as dg

from penstock.gates.evidence import EvidenceView
from penstock.release.plan import Plan
from penstock.release.workspace import Workspace
from penstock.reporting.drawing import can_draw
from penstock.reporting.files import NOTE, PAGE, store_report, write_report
from penstock.reporting.report import Report, build_report


def keep_report(workspace: Workspace, planned: Plan) -> None:
    """Keeps the evidence and its report in the release store, where the executor serves it; only the driver does."""
    view = planned.situation.view
    if view is None or workspace.settings.driver != "dagster":
        return
    report = report_of(workspace, planned, view)
    workspace.records.put_evidence(view.evidence)
    store_report(workspace.releases, report)
    write_report(workspace.settings.root, report)


def report_of(workspace: Workspace, planned: Plan, view: EvidenceView) -> Report:
    """The report of a plan: what counts at its head, and who has decided so far."""
    of = planned.situation
    assert of.release is not None, "evidence is of a release"
    baseline = view.evidence.baseline
    return build_report(
        view,
        of.release,
        source=f"commit {of.head[:12]} of {workspace.settings.base_branch}",
        baseline=workspace.releases.get_release(baseline) if baseline is not None else None,
        authors=sorted(of.authors),
        approvals=list(of.decisions),
    )


def report_link(workspace: Workspace, view: EvidenceView) -> dg.MetadataValue:
    """A URL where the executor's is known, else the report's path in the project."""
    file = PAGE if can_draw() else NOTE
    place = f"reports/{view.agent}/{view.version}/{view.digest.removeprefix('sha256:')}/{file}"
    executor = workspace.settings.executor_url.rstrip("/")
    return dg.MetadataValue.url(f"{executor}/v1/{place}") if executor else dg.MetadataValue.path(place)
