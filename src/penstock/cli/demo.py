"""`agentctl demo`: the main job in a scratch project."""

from pathlib import Path

import click

from penstock.cli.output import json_option, show


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".penstock/demo"),
    show_default=True,
    help="The scratch folder; an earlier demo in it is replaced.",
)
@click.option("--requests", type=click.IntRange(50, 10_000), default=400, show_default=True, help="At the canary.")
@json_option
def demo(folder: Path, requests: int, as_json: bool) -> int:
    """Plays the whole path: merge request, checks, dev, canary, approval, prod, rollback under load.

    Everything is real but the model, which is scripted and needs no key: Git remote, clones, gates, routing tables,
    executor.
    """
    from penstock.demo.stage import Stage
    from penstock.demo.story import Story

    facts = Story(Stage(folder.resolve(), quiet=as_json), requests).play()
    show(facts, "", as_json=as_json)
    return 0
