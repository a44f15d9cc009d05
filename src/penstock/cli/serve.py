"""`agentctl serve`: the executor."""

import os

import click
import orjson

from penstock.cli.context import project_settings
from penstock.cli.extra import require_installed
from penstock.cli.output import json_option, say
from penstock.errors import WrongUse


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 = any free one.")
@click.option("--releases", metavar="URL", help="The release store; default: the project's (PENSTOCK_RELEASES_URL).")
@click.option(
    "--drain-s",
    type=click.FloatRange(0, 3_600),
    default=30.0,
    show_default=True,
    help="Seconds that runs in flight have to finish after SIGTERM or SIGINT.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Default: the project's (PENSTOCK_LOG_FORMAT).")
@click.option("--access-log", is_flag=True, help="Log a line for each request.")
@click.option("--insecure-dev", is_flag=True, help="Without identity: loopback only, callers are who they say.")
@json_option
def serve(
    host: str,
    port: int,
    releases: str | None,
    drain_s: float,
    log_format: str | None,
    access_log: bool,
    insecure_dev: bool,
    as_json: bool,
) -> int:
    """Runs released agents over HTTP.

    The first line on stdout is the bound URL (with --json: {"url", "pid"}). A first SIGTERM or SIGINT drains and
    ends with 0, a second ends at once with 130.
    """
    if not insecure_dev:
        raise WrongUse(
            "there is no authentication yet, so nothing is served without --insecure-dev",
            where="agentctl serve",
            now="on this machine alone: agentctl serve --insecure-dev",
        )
    require_installed(("fastapi", "uvicorn", "uvloop", "httptools"), "server")
    from penstock.executor.app import build_app
    from penstock.executor.executor import Executor
    from penstock.executor.loopback import require_loopback
    from penstock.executor.server import Listening
    from penstock.executor.server import serve as serve_executor

    require_loopback(host)
    wanted = {"releases_url": releases, "log_format": log_format}
    settings = project_settings().model_copy(update={name: value for name, value in wanted.items() if value})

    def announce(url: str) -> None:
        click.echo(orjson.dumps({"url": url, "pid": os.getpid()}).decode() if as_json else url)
        say("insecure: no identity, loopback only; routing tables are unsigned")

    executor = Executor(settings, drains_apart=True)
    serve_executor(executor, build_app(executor), Listening(host, port, drain_s, access_log), announce)
    return 0
