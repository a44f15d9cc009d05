"""Where specs are: Git revisions and working trees, read strictly, resolved to releases."""
