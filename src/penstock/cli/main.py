"""`agentctl`: the command line. Each command lives in its own file and is imported when it is called."""

import importlib
import os
import sys
from typing import Any

import click

from penstock import __version__
from penstock.cli.output import report_error, show
from penstock.errors import PenstockError, Unavailable, WrongUse
from penstock.garbage import no_collection

# command -> (module below penstock.cli, help line): so that `--help` imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Lay down a project with one working agent."),
    "new": ("new", "Lay down an agent, a tool, or a new version."),
    "doctor": ("doctor", "Check machine and settings."),
    "validate": ("validate", "Check every spec: every fault at once."),
    "impact": ("impact", "Show what a change touches."),
    "list": ("catalog", "List every version of every kind."),
    "show": ("catalog", "Show the resolved release of an agent's version."),
    "schema": ("schema", "Print the JSON Schemas; check them against the released ones."),
    "contract": ("gate", "Replay a version's contract suite on every runtime."),
    "record": ("record", "Record a contract suite's journals."),
    "dataset": ("dataset", "Import, check and grow datasets."),
    "eval": ("eval", "Run a version's eval suite and compare it with production."),
    "shadow": ("diff", "Run sampled production runs through a version, without side effects."),
    "diff": ("diff", "Compare what two versions do."),
    "check": ("check", "Run all gates of the next stage."),
    "ci": ("ci", "Write the child pipeline of GitLab CI; what its jobs call."),
    "report": ("report", "Write the report of a version."),
    "status": ("status", "Show who stands where, and what the next stage asks for."),
    "plan": ("plan", "Show what a promotion would change and what stands in the way."),
    "promote": ("promote", "Move a version to a stage."),
    "approve": ("approve", "Approve a version on its evidence."),
    "reject": ("approve", "Reject a version on its evidence."),
    "canary": ("canary", "Show canaries, and take them on a step at a time."),
    "rollback": ("rollback", "Take a canary or prod back at once."),
    "hold": ("hold", "Hold an agent, or stop the whole line."),
    "unhold": ("hold", "Let an agent, or the line, go on."),
    "unquarantine": ("rollback", "Lift the quarantine of a release."),
    "freeze": ("freeze", "Stop new runs."),
    "thaw": ("freeze", "Let new runs in again."),
    "degrade": ("degrade", "Have runs ask a cheaper model first, or their own again."),
    "breaker": ("breaker", "Show, open and close breakers of tools and models."),
    "deprecate": ("retire", "Deprecate a version."),
    "disable": ("retire", "Disable a version or a whole agent."),
    "reconcile": ("reconcile", "Bring routing table and base branch together; show the drift."),
    "notify": ("notify", "Tell the project's endpoint what changed."),
    "run": ("run", "Run an agent, here or on an executor."),
    "batch": ("batch", "Queue many runs of an agent on an executor."),
    "queue": ("queue", "Show what waits; replay or purge dead letters."),
    "review": ("review", "Show calls that wait for a person; decide on them."),
    "runs": ("runs", "List stored runs."),
    "events": ("runs", "Show the events of a run."),
    "sessions": ("sessions", "Show what was said in a session, and its runs."),
    "archive": ("archive", "Put old runs into the archive; check it."),
    "purge": ("purge", "Delete what is older than its retention, or one run's payloads."),
    "feedback": ("feedback", "Say what a user thinks of a live run."),
    "judge": ("judge", "Score the share of live runs that suites ask for."),
    "slo": ("slo", "Show what agents promise beside what their live runs show."),
    "budget": ("budget", "Show what may be spent and was; correct it."),
    "cost": ("cost", "Show what runs cost."),
    "metrics": ("metrics", "Show figures of stored live runs."),
    "alerts": ("alerts", "Show what operators were told of."),
    "limits": ("limits", "Show the limits in force on an executor."),
    "cancel": ("run", "End a run of an executor."),
    "replay": ("run", "Replay a stored run from its journal and compare."),
    "serve": ("serve", "Start the executor (HTTP)."),
    "routes": ("routes", "Show the routing table in force; its history, soundness, changes."),
    "gitlab": ("gitlab", "Work with GitLab: webhooks, poll, locks."),
    "upgrade": ("upgrade", "Bring the database to this program's schema."),
    "demo": ("demo", "Play the main job in a scratch project."),
    "dev": ("dev", "Start executor and Dagster UI together."),
}

INTERRUPTED = 130
SHOW_TRACEBACK = "PENSTOCK_TRACEBACK"


class Commands(click.Group):
    """The commands by name, imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        with no_collection():
            module = importlib.import_module(f"penstock.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table as help, without importing the commands."""
        rows = [(name, text) for name, (_, text) in COMMANDS.items()]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agentctl")
@click.option("--project", metavar="DIR", help="The project; default: the nearest folder up from here.")
@click.pass_context
def agentctl(ctx: click.Context, project: str | None) -> None:
    """Penstock: releases of LLM agents from a merge request to production, and back.

    Exit status: 0 done or passed; 1 the answer is no; 2 wrong use; 3 the environment failed; 130 Ctrl-C.
    """
    ctx.obj = project


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit status and never shows a traceback for a `PenstockError`."""
    words: list[str] = sys.argv[1:] if arguments is None else arguments
    try:
        result: Any = agentctl.main(words, standalone_mode=False)
    except PenstockError as error:
        report_error(error, as_json="--json" in words)
        return error.exit_code
    except click.exceptions.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except click.ClickException as error:
        if "--json" in words:
            show({"error": _wrong_use(error).as_dict()}, "", as_json=True)
        error.show()
        return error.exit_code
    except BrokenPipeError:
        return 0
    except Exception as error:
        if os.environ.get(SHOW_TRACEBACK):
            raise
        report_error(_unforeseen(error), as_json="--json" in words)
        return Unavailable.exit_code
    return result if isinstance(result, int) else 0


def _wrong_use(error: click.ClickException) -> WrongUse:
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = context.command_path if context is not None else "agentctl"
    return WrongUse(" ".join(error.format_message().split()), where=where, now=f"`{where} --help`")


def _unforeseen(error: Exception) -> PenstockError:
    """The machine's fault where a file is named (a full disk, missing rights), else ours."""
    if isinstance(error, OSError) and error.filename is not None:
        now = "free space, or see who may read and write there"
        return Unavailable(error.strerror or str(error), where=str(error.filename), now=now)
    return Unavailable(
        f"unexpected: {type(error).__name__}: {error}",
        where="agentctl",
        now=f"this is a fault of Penstock; {SHOW_TRACEBACK}=1 shows where, for a report",
    )


if __name__ == "__main__":
    sys.exit(main())
