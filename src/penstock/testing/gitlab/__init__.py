"""A stateful GitLab for tests: real merges and pushes over a bare repository, the REST API, webhooks, faults."""

from penstock.testing.gitlab.fake import GitlabFake
from penstock.testing.gitlab.state import ProjectSettings, Protection

__all__ = ["GitlabFake", "ProjectSettings", "Protection"]
