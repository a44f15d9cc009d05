"""Makes the world `operated` in a folder: `python operated_world.py FOLDER`; a process of its own, for speed.

A bare remote, the author's clone and the operator's. clerk 1.1.0 is in prod after 1.0.0: it asks models/main, with
models/small as its spare, and the tool stock; its 1.2.0, whose model answers nonsense, is in dev. scribe 1.0.0 asks
models/main alone. Where the models are is in ports.json.
"""

import json
import os
import random
import socket
import sys
from pathlib import Path

from penstock.cli.main import main
from penstock.testing.project import project

OPERATOR = ("Mia Manager", "manager@example.com")
PORTS = range(20_000, 30_000)  # below those that systems give out by themselves
HEAD = "apiVersion: penstock.dev/v1\nkind: {kind}\nmetadata: {{name: {name}, version: {version}, owner: qa{more}}}\n"

TOOL = """\
import json
import os
from pathlib import Path


async def look_up(arguments, ctx):
    shelf = json.loads(Path(os.environ["STOCK"]).read_text("utf-8"))
    return {"hits": [{"id": name} for name in shelf if name in arguments["query"]]}
"""
TOOL_SPEC = """\
spec:
  implementation: {type: python, entry: "tool:look_up"}
  input: {schema: {type: object, required: [query], properties: {query: {type: string}}}}
  output: {schema: {type: object, required: [hits], properties: {hits: {type: array}}}}
  sideEffects: read
  fallback: {answer: {hits: []}}
"""
AGENT_SPEC = """\
spec:
  mode: workflow
  promptRef: prompts/{name}@1.0.0
  modelRef: models/{model}
{more}  policyRefs: [policies/default@1.0.0]
  input: {{schema: {{type: string}}}}
  output: {{schema: {{type: string}}}}
  runtime: {{selector: direct}}
"""
SPARE = "  fallback: {models: [models/small@1.0.0]}\n"
STOCK = "  toolRefs: [tools/stock@1.0.0]\n"
RUNTIME = """\
apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0.1,<1"
  adapter: direct
  capabilities: {modes: [workflow, conversational], toolCalling: true, streaming: true, maxContextTokens: 1000000}
"""
PIPELINE = """\
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages: {dev: {automatic: true}, canary: {}, prod: {}}
  canary: {steps: [{percent: 20}]}
"""


def document(kind: str, name: str, version: str, spec: str, more: str = "") -> str:
    """A document of the registry; `more` goes into its metadata."""
    return HEAD.format(kind=kind, name=name, version=version, more=more) + spec


def agent(name: str, version: str, model: str, more: str) -> dict[str, str]:
    """An agent's file."""
    spec = AGENT_SPEC.format(name=name, model=model, more=more)
    return {f"registry_repo/agents/{name}/{version}.yaml": document("Agent", name, version, spec)}


def model(name: str, version: str, port: int, asked: str, usd: float) -> dict[str, str]:
    """A model's file: `asked` of the server at that port, at a price for 1,000,000 tokens."""
    spec = (
        f"spec:\n  model: {asked}\n  transport: openai-compatible\n  contextTokens: 128000\n"
        f'  parameters: {{apiBase: "http://127.0.0.1:{port}/v1", maxTokens: 2000}}\n'
        f"  price: {{inputUsdPer1M: {usd}, outputUsdPer1M: {usd}}}\n"
    )
    return {f"registry_repo/models/{name}/{version}.yaml": document("Model", name, version, spec)}


def prompt(name: str, text: str) -> dict[str, str]:
    """A prompt's file."""
    head = document("Prompt", name, "1.0.0", "spec: {role: system}\n")
    return {f"registry_repo/prompts/{name}/1.0.0.md": f"---\n{head}---\n{text}\n"}


def files(main_port: int, small_port: int) -> dict[str, str]:
    """All of the project."""
    return {
        **model("main", "1.0.0", main_port, "qa-rules", 40.0),
        **model("main", "1.1.0", main_port, "qa-rules+wrong-types", 40.0),
        **model("small", "1.0.0", small_port, "qa-rules", 1.0),
        **prompt("clerk", "Say what is on the shelf. Look it up by stock first."),
        **prompt("scribe", "Write down what was said."),
        **agent("clerk", "1.0.0", "main@1.0.0", STOCK + SPARE),
        **agent("clerk", "1.1.0", "main@1.0.0", STOCK + SPARE + "  limits: {timeoutMs: 20000}\n"),
        **agent("clerk", "1.2.0", "main@1.1.0", STOCK),
        **agent("scribe", "1.0.0", "main@1.0.0", ""),
        "registry_repo/tools/stock/1.0.0.yaml": document(
            "Tool", "stock", "1.0.0", TOOL_SPEC, ", description: Finds what is on the shelf."
        ),
        "registry_repo/tools/stock/1.0.0/tool.py": TOOL,
        "registry_repo/policies/default/1.0.0.yaml": document(
            "Policy", "default", "1.0.0", "spec: {rules: [{name: all, effect: allow}]}\n"
        ),
        "registry_repo/teams.yaml": (
            f"teams:\n  qa: {{members: [author@example.com]}}\nreleaseManagers: [{OPERATOR[1]}]\n"
        ),
        "runtimes/direct.yaml": RUNTIME,
        "pipelines/release.yaml": PIPELINE,
    }


def free_ports() -> list[int]:
    """Two ports that nobody has; the tests of this world run one after the other."""
    found: list[int] = []
    while len(found) < 2:
        port = random.choice(PORTS)
        with socket.socket() as trial:
            if port not in found and trial.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def build(folder: Path) -> None:
    """Lays it down and brings it to prod by the real commands, called in this one process."""
    ports = free_ports()
    made = project(files(*ports), folder / "author", remote=True)
    operator = made.clone(folder / "operator", OPERATOR)
    (folder / "shelf.json").write_text(json.dumps(["paper", "ink"]), "utf-8")
    (folder / "ports.json").write_text(json.dumps(ports), "utf-8")
    (folder / "disk").mkdir()
    os.environ["PENSTOCK_RELEASES_URL"] = str(folder / "releases")
    os.environ["PENSTOCK_DATABASE_URL"] = f"sqlite:///{folder / 'disk/store.db'}"
    orders = [["reconcile"]]
    for named in ("clerk@1.0.0", "clerk@1.1.0", "scribe@1.0.0"):
        orders += [
            ["promote", named, "--to", "canary"],
            ["promote", named, "--to", "prod", "--override", "--reason", "x"],
        ]
    for words in orders:
        status = main(["--project", str(operator.root), *words])
        assert status == 0, f"agentctl {' '.join(words)} ended with {status}"


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
