"""Other gateways as processes, for benchmarks beside them: LiteLLM's proxy and the Portkey gateway.

Each is installed once below a cache folder, by its ordinary client (pip, npm): that of PENSTOCK_BENCH_CACHE, else
`penstock-bench` in the cache of the user.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx

from penstock.errors import Unavailable

PORTKEY = "@portkey-ai/gateway@1.15.2"
INSTALL_S = 900
START_S = 120.0
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Gateway:
    """A gateway that answers chats at `port`; `headers` go with each request, `ready_s` is how long its start took."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int
    headers: dict[str, str]
    ready_s: float


@contextmanager
def litellm_proxy(model_url: str) -> Iterator[Gateway]:
    """LiteLLM's proxy, of the version that is installed here, with all models of `model_url` under their names.

    Raises `Unavailable` where it cannot be installed or does not start.
    """
    folder = _cache() / f"litellm-{version('litellm')}"
    program = folder / "bin/litellm"
    if not program.exists():
        _installed([sys.executable, "-m", "venv", str(folder)])
        _installed([str(folder / "bin/pip"), "install", "--quiet", f"litellm[proxy]=={version('litellm')}"])
    parameters = {"model": "openai/*", "api_base": model_url, "api_key": "scripted"}
    config = folder / "config.yaml"
    config.write_text(json.dumps({"model_list": [{"model_name": "*", "litellm_params": parameters}]}))
    port = _free_port()
    words = [str(program), "--config", str(config), "--host", HOST, "--port", str(port), "--telemetry", "False"]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it serves the loopback, for minutes
    }
    with _running("LiteLLM's proxy", words, port, {}, environment) as gateway:
        yield gateway


@contextmanager
def portkey_gateway(model_url: str) -> Iterator[Gateway]:
    """The Portkey gateway on Node; raises `Unavailable` where npm is missing, or it does not start."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("node and npm are not installed", where="Portkey gateway", now="install them to compare")
    folder = _cache() / "portkey"
    program = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not program.exists():
        _installed([npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", PORTKEY])
    port = _free_port()
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": model_url, "authorization": "Bearer scripted"}
    with _running("Portkey gateway", [node, str(program), f"--port={port}", "--headless"], port, headers, {}) as made:
        yield made


@contextmanager
def _running(
    name: str, words: list[str], port: int, headers: dict[str, str], environment: dict[str, str]
) -> Iterator[Gateway]:
    begun = time.monotonic()
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        while not _answers(port, headers):
            if process.poll() is not None or time.monotonic() - begun > START_S:
                raise Unavailable("it did not start", where=name, now=f"try by hand: {' '.join(words)}")
            time.sleep(0.05)
        yield Gateway(name, process, port, headers, time.monotonic() - begun)
    finally:
        process.kill()
        process.wait()


def _answers(port: int, headers: dict[str, str]) -> bool:
    """Whether a chat is answered; the first one waits for what the gateway loads late."""
    chat = {"model": "qa-rules", "messages": [{"role": "user", "content": "ready?"}]}
    try:
        url = f"http://{HOST}:{port}/v1/chat/completions"
        return httpx.post(url, json=chat, headers=headers, timeout=START_S, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _installed(words: list[str]) -> None:
    try:
        subprocess.run(words, check=True, timeout=INSTALL_S, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"it cannot be installed: {error}", where=words[0], now="see what it says by hand") from None


def _cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = Path(os.environ.get("PENSTOCK_BENCH_CACHE", home / "penstock-bench"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
