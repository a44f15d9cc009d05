"""What evaluating costs: 1,000 cases against the local model server, which answers after 50 ms, 50 at once.

Each contender is a process of its own, all in the same minute; the physical limit is 1.0 s. Wall and CPU seconds are of
the evaluation alone, without imports; RSS is the whole process's greatest. The peers (pydantic-evals, inspect_ai) get a
virtual environment of their own from `evals_peers.txt`, kept in the temporary folder; without it they are said absent.
"""

import argparse
import asyncio
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CASES, AT_ONCE, LATENCY_MS, ROUNDS = 1_000, 50, 50, 3
LIMITS = {"wall_s": 1.3, "cpu_s": 0.8, "rss_mb": 150.0}
MODEL = f"qa-rules+latency-{LATENCY_MS}"
PEERS = Path(__file__).with_name("evals_peers.txt")
LONGEST_S = 240
RUNTIMES = Path(__file__).parents[1] / "runtimes"


@dataclass(frozen=True)
class Figures:
    """What one contender took; `passed` = how many of its scores were 1 or True, so that nobody skips the work."""

    wall_s: float
    cpu_s: float
    rss_mb: float
    passed: int


def question(i: int) -> str:
    return f"{i}"


class Stopwatch:
    """Wall and CPU of a block, and the process's greatest memory until its end."""

    def __enter__(self) -> "Stopwatch":
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s, self.cpu_s = time.perf_counter() - self._wall, time.process_time() - self._cpu

    def figures(self, passed: int) -> Figures:
        """What was measured."""
        return Figures(self.wall_s, self.cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, passed)


class PlainModel:
    """A plain call of the model: one aiohttp session, no framework."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"

    async def __aenter__(self) -> "PlainModel":
        import aiohttp

        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, text: str) -> dict[str, Any]:
        """The answer to one question."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
        async with self._session.post(self._url, json=body) as response:
            answer: dict[str, Any] = json.loads(await response.read())
        return answer


def content(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


async def bare(url: str) -> Figures:
    """Fifty workers, one list."""
    left = iter(range(CASES))
    passed = 0
    async with PlainModel(url) as model:

        async def work() -> None:
            nonlocal passed
            for i in left:
                said = content(await model.ask(question(i)))
                passed += (question(i) in said) + said.startswith("Scripted")

        with Stopwatch() as watch:
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return watch.figures(passed)


async def litellm(url: str) -> Figures:
    """Fifty workers around the model library, as the engine calls it: what an agent's run cannot be below."""
    from penstock.llm.load import load
    from penstock.llm.provider import LiteLLMProvider
    from penstock.pal import ModelCall

    load()
    provider, left, passed = LiteLLMProvider({}), iter(range(CASES)), 0
    parameters = {"apiBase": url, "apiKey": "scripted"}

    def call(i: int) -> ModelCall:
        messages = [{"role": "user", "content": question(i)}]
        return ModelCall("models/bench@1.0.0", f"openai/{MODEL}", parameters, None, messages)

    async def work() -> None:
        nonlocal passed
        for i in left:
            said = str((await provider.complete(call(i))).content)
            passed += (question(i) in said) + said.startswith("Scripted")

    await provider.complete(call(CASES))
    with Stopwatch() as watch:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return watch.figures(passed)


async def harness(url: str) -> Figures:
    """Our harness loop: trials and scores kept in SQLite, two scorers."""
    from penstock.store.database import open_database
    from penstock.store.trials import TrialStore

    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/store.db")
        async with PlainModel(url) as model:
            figures = await measured_and_scored(plain_subject(model), TrialStore(database))
        database.close()
    return figures


async def engine(url: str) -> Figures:
    """Our whole engine: an agent's run a case, through LiteLLM, durable in the spool and drained; two scorers."""
    from penstock.registry.load import load_registry
    from penstock.registry.resolve import Resolved
    from penstock.registry.source import TreeSource
    from penstock.scoring.rig import open_rig
    from penstock.settings import Settings
    from penstock.testing.example_release import example_release

    parameters = {"apiBase": url, "apiKey": "scripted"}
    price = {"inputUsdPer1M": 1.0, "outputUsdPer1M": 2.0}
    release, body = example_release(model={"model": f"openai/{MODEL}", "parameters": parameters, "price": price})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "runtimes").mkdir()
        (root / "runtimes" / "direct.yaml").write_bytes((RUNTIMES / "direct.yaml").read_bytes())
        settings = Settings(root=root, default_runtime="direct")
        registry = load_registry(TreeSource(root), default_runtime="direct")
        async with open_rig(settings, registry) as rig:
            subject = rig.subject(Resolved(release, {release.prompt.body: body}))
            return await measured_and_scored(subject, rig.store)


async def measured_and_scored(subject: Any, store: Any) -> Figures:
    """The harness over all cases, after one that warms up; what the scorers saw must be right."""
    from penstock.scoring.budget import Budget
    from penstock.scoring.harness import Bounds, measure, score_all
    from penstock.testing.example_release import example_release
    from penstock.testing.fake_subject import eval_cases

    release, _ = example_release()
    every, scorers = eval_cases(CASES), two_scorers()
    bounds = Bounds(1, AT_ONCE, {}, Budget(1_000.0, 10.0))
    warm = await measure(subject, every[:1], bounds, store)
    await score_all(warm, every[:1], scorers, release, bounds, store)
    with Stopwatch() as watch:
        measured = await measure(subject, every, bounds, store, fresh=True)
        scores = await score_all(measured, every, scorers, release, bounds, store)
    return watch.figures(sum(float(row.score.value) == 1.0 for row in scores.rows))


def plain_subject(model: PlainModel) -> Any:
    """The plain call as a subject of the harness: no agent, no engine."""
    from penstock.testing.fake_subject import FakeSubject, fake_trial

    async def answering(case: Any, repeat: int) -> Any:
        started = time.perf_counter()
        answer = await model.ask(case.case.input)
        usage, took_ms = answer["usage"], (time.perf_counter() - started) * 1000
        tokens = {"prompt_tokens": usage["prompt_tokens"], "completion_tokens": usage["completion_tokens"]}
        return fake_trial(subject.key(case, repeat), content(answer), duration_ms=took_ms, **tokens)

    subject = FakeSubject(answering)
    return subject


def two_scorers() -> list[Any]:
    """Two of the built-in ones, ready as a suite has them."""
    from penstock.contracts.eval_suite import EvalSpec
    from penstock.registry.load import load_registry
    from penstock.registry.source import TreeSource
    from penstock.scoring.scorer_set import ready_scorers

    uses = [
        {"scorer": "contains", "params": {"expected": "model"}},
        {"scorer": "regex", "params": {"pattern": "^Scripted"}},
    ]
    spec = EvalSpec.model_validate({"datasets": ["evals"], "scorers": uses})
    with tempfile.TemporaryDirectory() as folder:
        return list(ready_scorers(load_registry(TreeSource(Path(folder)), default_runtime="direct"), spec, {}))


async def pydantic_evals(url: str) -> Figures:
    """pydantic-evals around the same plain call, two evaluators."""
    from pydantic_evals import Case, Dataset  # type: ignore[import-not-found]
    from pydantic_evals.evaluators import Evaluator, EvaluatorContext  # type: ignore[import-not-found]

    @dataclass
    class Holds(Evaluator):  # type: ignore[misc]
        """Whether the question stands in the answer."""

        def evaluate(self, ctx: EvaluatorContext) -> bool:
            return ctx.inputs in ctx.output

    @dataclass
    class Begins(Evaluator):  # type: ignore[misc]
        """Whether the answer begins as it should."""

        def evaluate(self, ctx: EvaluatorContext) -> bool:
            return bool(ctx.output.startswith("Scripted"))

    async with PlainModel(url) as model:

        async def task(text: str) -> str:
            return content(await model.ask(text))

        dataset = Dataset(
            name="evals",
            cases=[Case(name=str(i), inputs=question(i)) for i in range(CASES)],
            evaluators=[Holds(), Begins()],
        )
        with Stopwatch() as watch:
            report = await dataset.evaluate(task, max_concurrency=AT_ONCE, progress=False)
    return watch.figures(sum(bool(one.value) for case in report.cases for one in case.assertions.values()))


async def inspect_ai(url: str) -> Figures:
    """inspect_ai with its own OpenAI provider and log, two scorers."""
    from inspect_ai import Task, eval_async  # type: ignore[import-not-found]
    from inspect_ai.dataset import Sample  # type: ignore[import-not-found]
    from inspect_ai.model import get_model  # type: ignore[import-not-found]
    from inspect_ai.scorer import includes, match  # type: ignore[import-not-found]
    from inspect_ai.solver import generate  # type: ignore[import-not-found]

    model = get_model(f"openai/{MODEL}", base_url=url, api_key="scripted", responses_api=False)
    samples = [Sample(id=i + 1, input=question(i), target=question(i)) for i in range(CASES)]
    task = Task(dataset=samples, solver=generate(), scorer=[includes(), match(location="end")])
    with tempfile.TemporaryDirectory() as folder:
        with Stopwatch() as watch:
            logs = await eval_async(task, model=model, max_connections=AT_ONCE, max_samples=AT_ONCE, log_dir=folder)
        every = list(logs[0].samples or [])
    return watch.figures(sum(score.value == "C" for one in every for score in (one.scores or {}).values()))


OURS: dict[str, Callable[[str], Awaitable[Figures]]] = {
    "bare": bare,
    "harness": harness,
    "litellm": litellm,
    "engine": engine,
}
THEIRS: dict[str, Callable[[str], Awaitable[Figures]]] = {"pydantic_evals": pydantic_evals, "inspect_ai": inspect_ai}
TITLES = {
    "bare": "bare aiohttp loop",
    "harness": "penstock, harness loop",
    "litellm": "bare LiteLLM loop",
    "engine": "penstock, full engine, LiteLLM",
    "pydantic_evals": "pydantic-evals, same plain call",
    "inspect_ai": "inspect_ai, its OpenAI provider",
}


def peers_python() -> Path | None:
    """The interpreter of the peers' environment, made now if need be; None with the reason printed."""
    name = hashlib.sha256(PEERS.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"penstock-bench-peers-{name}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    try:
        venv.create(folder, with_pip=True, clear=True)
        words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        subprocess.run([str(python), *words, "-r", str(PEERS)], check=True, timeout=LONGEST_S, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"peers are absent: their environment cannot be installed ({type(error).__name__})")
        return None
    (folder / "complete").touch()
    return python


def run_in_process(python: Path | str, contender: str, url: str) -> Figures | None:
    """A contender's figures; None with the reason printed when it breaks."""
    surroundings = {
        **os.environ,
        "OPENAI_API_KEY": "scripted",
        "INSPECT_DISPLAY": "none",
        "LOGFIRE_IGNORE_NO_CONFIG": "1",
    }
    words = [str(python), __file__, "--contender", contender, "--url", url]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S, env=surroundings, check=False)
    except subprocess.TimeoutExpired:
        print(f"{TITLES[contender]}: stopped after {LONGEST_S} s")
        return None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        print(f"{TITLES[contender]}: did not run ({last[:160]})")
        return None
    return Figures(**json.loads(done.stdout.strip().splitlines()[-1]))


def compare(rounds: int) -> dict[str, list[Figures]]:
    """All contenders in turn, so that a noisy minute meets all of them."""
    from penstock.testing.model_server import ModelServer

    peers = peers_python()
    interpreters: dict[str, Path | str] = dict.fromkeys(OURS, sys.executable)
    if peers is not None:
        interpreters.update(dict.fromkeys(THEIRS, peers))
    found: dict[str, list[Figures]] = {name: [] for name in interpreters}
    with ModelServer(in_process=True) as server:
        for _ in range(rounds):
            for name, python in interpreters.items():
                figures = run_in_process(python, name, server.url)
                if figures is not None:
                    found[name].append(figures)
    return {name: each for name, each in found.items() if each}


def show(found: dict[str, list[Figures]]) -> None:
    limit = min(one.wall_s for one in found["bare"])
    print(f"{CASES} cases, model answers after {LATENCY_MS} ms, {AT_ONCE} at once: physical limit 1.0 s")
    head = f"least of {len(found['bare'])} (median)"
    print(f"{head:34} {'wall s':>15} {'x bare':>7} {'CPU s':>7} {'RSS MB':>7} {'passed':>7}")
    for name, each in found.items():
        best = min(each, key=lambda one: one.wall_s)
        median = statistics.median(one.wall_s for one in each)
        print(
            f"{TITLES[name]:34} {best.wall_s:7.2f} ({median:5.2f}) {best.wall_s / limit:7.2f} "
            f"{min(one.cpu_s for one in each):7.2f} {max(one.rss_mb for one in each):7.0f} {best.passed:7}"
        )
    ours = found.get("harness", [])
    if ours:
        told = ", ".join(
            f"{name} {min(getattr(one, name) for one in ours):.2f} (<= {most:g})" for name, most in LIMITS.items()
        )
        print(f"harness loop: {told}")


def main() -> None:
    """Prints wall, CPU, memory and the ratio to the bare loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", choices=[*OURS, *THEIRS])
    parser.add_argument("--url", default="")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    if given.contender is None:
        show(compare(given.rounds))
        return
    contender = {**OURS, **THEIRS}[given.contender]

    async def run() -> Figures:
        return await contender(given.url)

    print(json.dumps(asdict(asyncio.run(run()))))


if __name__ == "__main__":
    main()
