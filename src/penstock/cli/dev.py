"""`agentctl dev`: executor and Dagster UI together."""

import signal
import threading

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, say, show
from penstock.errors import Unavailable


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="Executor; 0 = any free.")
@click.option(
    "--dagster-port", type=click.IntRange(0, 65_535), default=3000, show_default=True, help="Dagster UI; 0 = any free."
)
@json_option
def dev(port: int, dagster_port: int, as_json: bool) -> int:
    """Brings up the executor and the Dagster UI on this machine; Ctrl-C ends both.

    With driver = ci the UI is read-only and shows what the release store holds; with driver = dagster its daemon
    drives. Neither has authentication: loopback only.
    """
    settings = project_settings()
    try:
        from penstock.orchestration.household import Household, free_port
    except ImportError as error:
        raise Unavailable(
            f"Dagster is not installed: {error.name}",
            where="agentctl dev",
            now="pip install 'penstock[dagster,server]'",
        ) from None
    household = Household(settings, free_port(port), free_port(dagster_port))
    say("starting executor, Dagster webserver and daemon ...")
    household.start()  # an interrupt in here ends what was started
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    urls = {"executor": household.executor_url, "dagster": household.dagster_url, "driver": settings.driver}
    show(urls, f"executor   {household.executor_url}\nDagster UI {household.dagster_url}", as_json=as_json)
    try:
        while not over.wait(0.5):
            ended = household.ended()
            if ended is not None:
                raise Unavailable(f"{ended} ended", where=str(household.logs / f"{ended}.log"), now="read its log")
    finally:
        say("ending ...")
        household.stop()
    return 0
