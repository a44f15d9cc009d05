"""What lays down files: a new project, a new agent or tool, a new version of something that is there."""
