"""Answers of runs and results of tools that are given again: in process, bounded, never across tenants."""
