"""GitLab: merge requests are checked and commented, comments command, promotions may be merge requests."""
