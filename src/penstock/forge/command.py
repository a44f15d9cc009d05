"""What people say to the bot in a comment: one line, as they would say it to `agentctl`."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contracts.document import NAME_PATTERN, VERSION_PATTERN
from penstock.errors import WrongUse

CALL = "/penstock"
Verb = Literal["plan", "promote", "rollback", "hold", "unhold", "help"]
VERBS: tuple[Verb, ...] = ("plan", "promote", "rollback", "hold", "unhold", "help")
STAGES = ("dev", "canary", "prod")
LONGEST = 1_000
# The options of each verb: those with a value, and flags. A reason is the rest of the line.
OPTIONS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "plan": (frozenset({"to"}), frozenset()),
    "promote": (frozenset({"to"}), frozenset()),
    "rollback": (frozenset({"stage", "to", "reason"}), frozenset({"keep"})),
    "hold": (frozenset({"reason"}), frozenset()),
    "unhold": (frozenset({"reason"}), frozenset()),
    "help": (frozenset(), frozenset()),
}
HELP = """\
| comment | does |
|---|---|
| `/penstock plan [AGENT[@VERSION]] [--to STAGE]` | checks this merge request again; of what is merged, shows the plan |
| `/penstock promote [AGENT[@VERSION]] --to STAGE` | moves a version to canary or prod, or says what stands in the way |
| `/penstock rollback [AGENT] [--stage canary\\|prod] [--to VERSION] [--keep] --reason TEXT` | goes back at once |
| `/penstock hold [AGENT] --reason TEXT` | nothing automatic happens until `unhold` |
| `/penstock unhold [AGENT] --reason TEXT` | lifts a hold |

One command a comment, in its first line; the agent may be left out where the merge request changes only one.
An edited comment does nothing."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it was written; None and empty = not said."""

    verb: Verb
    agent: str = ""
    version: str = ""
    stage: str = ""
    to: str = ""
    keep: bool = False
    reason: str = ""


def is_call(text: str) -> bool:
    """Whether a comment speaks to the bot: its first line begins with /penstock."""
    return re.match(rf"{CALL}(\s|$)", text) is not None


def parse(text: str) -> Command:
    """The command of a comment that is a call; raises `WrongUse`, saying what is not understood."""
    line = text.partition("\n")[0].strip()
    if len(line) > LONGEST:
        raise WrongUse(f"a command is at most {LONGEST} characters long")
    _, *words = line.split()
    verb = next((one for one in VERBS if words and one == words[0]), None)
    if verb is None:
        raise WrongUse(f"{words[0]!r} is no command" if words else "there is no command")
    options, rest = _options(verb, words[1:])
    if len(rest) > 1:
        raise WrongUse(f"{rest[1]!r} is one word too many: an agent is named once, and a reason follows --reason")
    agent, version = _subject(rest[0] if rest else "")
    command = Command(verb, agent, version, **_placed(verb, options))
    _require(command)
    return command


def _options(verb: str, words: list[str]) -> tuple[dict[str, Any], list[str]]:
    valued, flags = OPTIONS[verb]
    found: dict[str, Any] = {}
    rest: list[str] = []
    while words:
        word = words.pop(0)
        name = word.removeprefix("--")
        if not word.startswith("--"):
            rest.append(word)
            continue
        if name in found:
            raise WrongUse(f"{word} is given twice")
        if name in flags:
            found[name] = True
        elif name not in valued:
            raise WrongUse(f"{verb} has no option {word!r}")
        elif not words:
            raise WrongUse(f"{word} has no value")
        elif name == "reason":
            found[name], words = " ".join(words), []
        else:
            found[name] = words.pop(0)
    return found, rest


def _subject(word: str) -> tuple[str, str]:
    agent, at, version = word.partition("@")
    if word and not re.match(NAME_PATTERN, agent):
        raise WrongUse(f"{agent!r} is no name of an agent")
    if at and not re.match(VERSION_PATTERN, version):
        raise WrongUse(f"{version!r} is no version")
    return agent, version


def _placed(verb: str, options: dict[str, Any]) -> dict[str, Any]:
    """Where `--to` is a stage it is the command's stage, as `--stage` is for a rollback."""
    if verb in {"plan", "promote"} and "to" in options:
        options["stage"] = options.pop("to")
    return options


def _require(command: Command) -> None:
    if command.stage and command.stage not in STAGES:
        raise WrongUse(f"{command.stage!r} is no stage: {', '.join(STAGES)}")
    if command.verb == "promote" and not command.stage:
        raise WrongUse("promote needs --to STAGE")
    if command.verb in {"rollback", "hold", "unhold"} and not command.reason:
        raise WrongUse(f"{command.verb} needs --reason TEXT")
    if command.verb in {"rollback", "hold", "unhold"} and command.version:
        raise WrongUse(f"{command.verb} is of an agent, not of one of its versions")
    if command.verb == "rollback" and command.to and not re.match(VERSION_PATTERN, command.to):
        raise WrongUse(f"{command.to!r} is no version")
