"""The command line, agentctl."""
