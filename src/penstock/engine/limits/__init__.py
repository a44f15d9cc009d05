"""The limits of runs: concurrency, rate and queue depth of all, a team, an agent, a runtime and a tenant."""
