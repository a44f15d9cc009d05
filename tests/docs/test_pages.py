"""Every command of the README and the docs is run, in its order, in the world that its page names.

In a `console` block a line that begins with `$ ` is a command; with `# exit 1` at its end it must end so. What stands
below a command must be in its output, line by line in this order; `...` stands for anything. Commands that end in `&`
run until the page's end. `make` targets are looked up, not run. Ports 8080, 3000 and 8091 become free ones.

The first call of each command, and what runs in the background, is a Python of its own; all later ones are forks of
one that has imported everything.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest

from penstock.cli.main import COMMANDS, agentctl

World = Any  # of conftest.py

ROOT = Path(__file__).parents[2]
COMMANDS_PAGE = ROOT / "docs" / "commands.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"console", "text", "yaml", "json", "python", "markdown", "mermaid"}
PROGRAMS = re.compile(r"\s*(\$ |(agentctl|make|git|pip|curl|pytest|python3?) [a-z./-])")
MARK = re.compile(r"\s+# exit (\d+)(?:: .*)?$")
PORTS = ("8080", "3000", "8091")
PAGE_S = 240
# What a page may name without running it: the demo is run by a test of its own, `make` ones are looked up.
NOT_RUN = {"demo"}
AGENTCTL = re.compile(r"\bagentctl ([a-z]+(?: [a-z]+)?)")


@dataclass
class Step:
    """One command of a page, the exit status that it must end with, and the lines that stand below it."""

    line: int
    command: str
    exit_status: int = 0
    shown: list[str] = field(default_factory=list)
    warm: bool = False

    @property
    def in_background(self) -> bool:
        """Whether it goes on until the page's end."""
        return self.command.endswith("&")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the line of its fence, and its lines."""

    language: str
    line: int
    lines: list[str]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    inside = False
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            if not inside:
                found.append(Block(line.strip().strip("`"), number, []))
            inside = not inside
        elif inside:
            found[-1].lines.append(line)
    assert not inside, f"{page.name}: a block is not closed"
    return found


def steps(page: Path) -> list[Step]:
    """The commands of a page, in their order."""
    found: list[Step] = []
    for block in blocks(page):
        if block.language != "console":
            continue
        for number, line in enumerate(block.lines, block.line + 1):
            if line.startswith("$ "):
                found.append(Step(number, line[2:]))
            elif found and found[-1].command.endswith("\\"):
                found[-1].command += f"\n{line}"
            else:
                found[-1].shown.append(line)
    for step in found:
        marked = MARK.search(step.command)
        if marked:
            step.exit_status, step.command = int(marked[1]), step.command[: marked.start()]
    return found


def warmed_steps(pages: list[Path]) -> dict[Path, list[Step]]:
    """The commands of all pages; warm are those whose commands of agentctl were all called before."""
    found = {page: steps(page) for page in pages}
    called: set[str] = set()
    for step in (step for page in pages for step in found[page]):
        commands = set(AGENTCTL.findall(step.command))
        step.warm = not step.in_background and commands <= called
        called |= commands
    return found


def world_of(page: Path) -> str:
    """The world that the page's first comment names."""
    named = re.match(r"<!-- world: (\w+) -->\n", page.read_text("utf-8"))
    assert named, f"{page.name} has commands: its first line must name their world, as <!-- world: empty -->"
    return named[1]


STEPS = warmed_steps(PAGES)
RUN_PAGES = [page for page in PAGES if any(not step.command.startswith("make ") for step in STEPS[page])]


def together(page: Path) -> Any:
    """Runbooks run one after the other: the ports of their models are fixed by their world."""
    return pytest.param(page, marks=[pytest.mark.xdist_group("runbooks")] if page.parent.name == "runbooks" else [])


@pytest.mark.parametrize("page", map(together, RUN_PAGES), ids=lambda page: page.stem)
def test_every_command_of_the_page_works(page: Path, world: Callable[[str], World], tmp_path: Path) -> None:
    todo = [step for step in STEPS[page] if not step.command.startswith("make ")]
    here = world(world_of(page))
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    ports = {port: _free_port() for port in PORTS}
    script = _with_ports(_script(page.name, todo, here.before, outputs), ports)
    status, said = _run(script, here.start, here.environment)
    assert status == 0, said[-6000:]
    for step in todo:
        if not step.in_background:
            said = (outputs / str(step.line)).read_text("utf-8")
            missing = _missing(_with_ports("\n".join(step.shown), ports).splitlines(), said)
            assert missing is None, f"{page.name}:{step.line}: not in the output: {missing!r}\n{said}"


def test_most_pages_have_commands() -> None:
    assert len(RUN_PAGES) >= 10
    assert sum(len(steps(page)) for page in RUN_PAGES) >= 60


def test_every_command_is_run_by_a_page() -> None:
    run = {word for page in PAGES for step in steps(page) for word in re.findall(r"\bagentctl ([a-z]+)", step.command)}
    assert set(COMMANDS) - run == NOT_RUN


def test_every_command_that_is_not_run_is_named_by_a_page() -> None:
    texts = "".join(page.read_text("utf-8") for page in PAGES if page != COMMANDS_PAGE)
    assert [name for name in NOT_RUN if f"agentctl {name}" not in texts] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_command_escapes(page: Path) -> None:
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        assert block.language in LANGUAGES, f"{where}: {block.language!r} is none of {sorted(LANGUAGES)}"
        if block.language == "console":
            assert block.lines, where
            assert block.lines[0].startswith("$ "), f"{where}: begins with no command"
        elif page != COMMANDS_PAGE:
            stray = [line for line in block.lines if PROGRAMS.match(line)]
            assert stray == [], f"{where}: looks like a command and is no console block"


def test_each_command_is_called_by_a_python_of_its_own_once() -> None:
    cold = {name for page in PAGES for step in STEPS[page] if not step.warm for name in AGENTCTL.findall(step.command)}
    assert cold == {name for page in PAGES for step in STEPS[page] for name in AGENTCTL.findall(step.command)}
    assert sum(step.warm for page in PAGES for step in STEPS[page]) >= 60


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    asked = {
        target
        for page in PAGES
        for target in re.findall(r"(?:^\$ |`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert len(asked) >= 3
    assert asked - set(targets) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_name_real_options(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for written in re.findall(r"`agentctl\s([^`]+)`", text):
        words = written.split()
        command, words = _command(words)
        options = {option for parameter in command.params for option in parameter.opts} | {"--help", "--project"}
        named = [word.strip("[]|,").split("=")[0] for word in words]
        unknown = [word for word in named if word.startswith("--") and word not in options]
        assert unknown == [], f"{page.name}: agentctl {written}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {_slug(heading) for heading in headings}, f"{page.name}: {target}"


def test_commands_reach_this_machine_only() -> None:
    hosts = {
        host
        for page in PAGES
        for step in steps(page)
        for host in re.findall(r"[a-z0-9+]+://([^/:\s'\"]*)", step.command)
    }
    assert hosts <= {"127.0.0.1", ""}


def test_a_step_is_read_with_its_status_and_its_output(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ ls \\\n    -a\n$ false  # exit 1: it is\n$ sleep 9 &\nseen\n```\n", "utf-8")
    listed, no, back = steps(page)
    assert (listed.line, listed.command, listed.exit_status) == (2, "ls \\\n    -a", 0)
    assert (no.command, no.exit_status, no.shown) == ("false", 1, [])
    assert (back.in_background, back.shown) == (True, ["seen"])


@pytest.mark.parametrize(("command", "ends_with"), [("true", 0), ("false", 1), ("true\nsleep 0 &\nwait $!", 0)])
@pytest.mark.parametrize("wanted", [0, 1])
def test_a_wrong_status_is_found(command: str, ends_with: int, wanted: int, tmp_path: Path) -> None:
    status, said = _run(_script("page.md", [Step(7, command, wanted)], "", tmp_path), tmp_path, dict(os.environ))
    assert (status == 0) is (wanted == ends_with)
    assert ("page.md:7: ended with" in said) is (wanted != ends_with)


def test_a_background_process_that_ended_early_is_found(tmp_path: Path) -> None:
    script = _script("page.md", [Step(1, "true &"), Step(2, "wait")], "", tmp_path)
    assert _run(script, tmp_path, dict(os.environ))[0] == 99


def test_what_stands_below_a_command_must_be_in_its_output() -> None:
    assert _missing(["one", "t...e"], "no\none\ntwo three\n") is None
    assert _missing(["one", "two"], "two\none\n") == "two"
    assert _missing(["one"], "one more\n") == "one"


def _script(page: str, todo: list[Step], before: str, outputs: Path) -> str:
    """The page as one shell: each command's output in a file of its own, its status compared."""
    parts = [
        "PIDS=()",
        "FRESH=$PATH",
        "trap 'for pid in \"${PIDS[@]}\"; do kill $pid 2>/dev/null; done; wait' EXIT",
        before,
    ]
    for step in todo:
        output = shlex.quote(str(outputs / str(step.line)))
        parts.append("PATH=${WARM_AGENTCTL:+$WARM_AGENTCTL:}$FRESH" if step.warm else "PATH=$FRESH")
        parts += ["{", step.command, f"}} > {output} 2>&1", "STATUS=$?"]
        if step.in_background:
            parts.append("PIDS+=($!)")
        failed = f'echo "{page}:{step.line}: ended with $STATUS, not {step.exit_status}"; cat {output}; exit 99'
        parts.append(f'[ "$STATUS" = {step.exit_status} ] || {{ {failed}; }}')
    parts.append(
        'for pid in "${PIDS[@]}"; do kill -0 $pid || { echo "a background process ended early"; exit 99; }; done'
    )
    return "\n".join(parts) + "\n"


def _run(script: str, start: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Runs the script in a process group of its own; returns its exit status and what it said."""
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=start,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=PAGE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        return -1, f"not within {PAGE_S} s\n{said}"
    return process.returncode, said


def _missing(shown: list[str], said: str) -> str | None:
    """The first shown line that is not in the output after the ones before it; None if all are."""
    lines = iter(said.splitlines())
    for line in shown:
        pattern = ".*".join(re.escape(part) for part in line.rstrip().split("..."))
        if line.strip() not in {"", "..."} and not any(re.fullmatch(pattern, one.rstrip()) for one in lines):
            return line
    return None


def _free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def _with_ports(text: str, ports: dict[str, str]) -> str:
    return re.sub(rf"\b({'|'.join(ports)})\b", lambda found: ports[found[1]], text)


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words call, and the words after its name."""
    context = click.Context(agentctl, info_name="agentctl")
    command: click.Command = agentctl
    while isinstance(command, click.Group) and words:
        below = command.get_command(context, words[0])
        if below is None:
            break
        command, words = below, words[1:]
    assert command is not agentctl or words[0].startswith("-"), f"no such command: agentctl {' '.join(words)}"
    return command, words


def _slug(heading: str) -> str:
    """The anchor of a heading as forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
