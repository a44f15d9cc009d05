"""The HTTP server that runs agents."""
