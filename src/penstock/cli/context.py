"""What commands share: the project that they act on, its releases, and who acts."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.settings import Settings, load_settings

if TYPE_CHECKING:
    from penstock.contracts.release import Release


def project_settings() -> Settings:
    """The settings of the project named by `--project`, or of the one around the current folder."""
    project = click.get_current_context().find_root().obj
    return load_settings(Path(project) if project else None)


def me() -> str:
    """The mail address that Git knows of who sits here; raises `WrongUse` if it knows none."""
    from penstock.registry.git import Repository

    return Repository.open(project_settings().root).identity()[1]


def released(settings: Settings) -> "Callable[[str], Release]":
    """Gives the project's releases by their digests."""
    from penstock.routing.release_cache import ReleaseCache
    from penstock.store.objects import open_objects
    from penstock.store.releases import ReleaseStore

    return ReleaseCache(settings.cache, ReleaseStore(open_objects(settings.releases))).release
