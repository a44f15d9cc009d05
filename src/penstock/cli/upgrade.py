"""`agentctl upgrade`: brings the project's stores to this program's schema."""

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show


@click.command()
@json_option
def upgrade(as_json: bool) -> int:
    """Brings the database to this program's schema; what is in it stays."""
    from penstock.store.database import upgrade as upgrade_database

    before, after = upgrade_database(project_settings().database)
    if before == after:
        text = f"database: schema {after}, nothing to do"
    else:
        text = f"database: schema {after}, " + (f"from {before}" if before else "newly made")
    show({"database": {"before": before, "after": after}}, text, as_json=as_json)
    return 0
