"""Budgets of agents, teams and tenants: shared by all executors, held before a call, never overshot."""
