"""GitLab: merge requests, notes, commit statuses, commands in comments; the only importer of python-gitlab."""
