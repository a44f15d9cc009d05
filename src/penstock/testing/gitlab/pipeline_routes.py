"""Routes of pipelines and their jobs, to read only."""

from penstock.testing.gitlab.ask import Answer, Ask, not_found
from penstock.testing.gitlab.entities import job, pipeline, pipeline_page
from penstock.testing.gitlab.paging import page
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import READ, Pipeline

_ALL = "/projects/:id/pipelines"


@route("GET", _ALL, level=READ, takes="ref sha status source order_by sort")
def list_pipelines(ask: Ask) -> Answer:
    """The pipelines, newest first."""
    found = [
        one
        for one in reversed(ask.state.pipelines)
        if all(ask.text(name, getattr(one, name)) == getattr(one, name) for name in ("ref", "sha", "status", "source"))
    ]
    return page(ask, found[:: -1 if ask.text("sort") == "asc" else 1], lambda one: pipeline(ask.state, one))


@route("GET", f"{_ALL}/:pipeline_id", level=READ)
def get_pipeline(ask: Ask) -> Answer:
    """One pipeline."""
    return body_of(pipeline_page(ask.state, _pipeline(ask)))


@route("GET", f"{_ALL}/:pipeline_id/jobs", level=READ)
def list_jobs(ask: Ask) -> Answer:
    """The jobs of a pipeline."""
    made = _pipeline(ask)
    return page(ask, made.jobs, lambda one: job(ask.state, one, made))


@route("GET", "/projects/:id/jobs/:job_id", level=READ)
def get_job(ask: Ask) -> Answer:
    """One job."""
    for made in ask.state.pipelines:
        for one in made.jobs:
            if one.id == ask.part("job_id"):
                return body_of(job(ask.state, one, made))
    raise not_found()


def _pipeline(ask: Ask) -> Pipeline:
    for made in ask.state.pipelines:
        if made.id == ask.part("pipeline_id"):
            return made
    raise not_found()
