"""Datasets: read from tables, checked before each use, grown from production runs."""
