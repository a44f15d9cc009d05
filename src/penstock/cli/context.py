"""What commands share: the project that they act on."""

from pathlib import Path

import click

from penstock.settings import Settings, load_settings


def project_settings() -> Settings:
    """The settings of the project named by `--project`, or of the one around the current folder."""
    project = click.get_current_context().find_root().obj
    return load_settings(Path(project) if project else None)
