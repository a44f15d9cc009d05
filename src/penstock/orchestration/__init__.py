"""The Dagster edge: assets, checks, jobs and sensors over the release path."""
