"""Settings of a project: `[tool.penstock]` in pyproject.toml, each also an environment variable PENSTOCK_*.

The environment wins. A relative path or folder is meant from the project's root.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from penstock.errors import WrongUse

STATE = ".penstock"


class Settings(BaseModel):
    """How one project is set up; the embedded defaults need no server and no key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path = Field(description="The project's root: the folder of its pyproject.toml.")
    registry_url: str = Field("", description="The Git remote of the registry; empty means the clone's `origin`.")
    base_branch: str = Field("main", description="The branch on which a version counts as released.")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite in .penstock/store.db.")
    releases_url: str = Field(
        "", description="Folder or object store (s3://, gs://, az://) of releases; empty means .penstock/releases."
    )
    cache_dir: str = Field("", description="Where executors keep releases and tool code; empty means .penstock/cache.")
    spool_dir: str = Field("", description="Where runs are made durable first; empty means .penstock/spool.")
    payloads_url: str = Field(
        "", description="Folder or object store of payloads that are large; empty means .penstock/payloads."
    )
    claim_check_bytes: int = Field(
        65_536, ge=0, description="Payloads over so many bytes, written as JSON, go to the payload store; 0 = all."
    )
    archive_url: str = Field("", description="Folder or object store of old runs; empty means .penstock/archive.")
    driver: Literal["ci", "dagster"] = Field("ci", description="The side that produces evidence that counts.")
    default_runtime: str = Field("langgraph", description="The runtime of agents that name none.")
    executor_url: str = Field("", description="Where people reach the executor; Dagster links to its reports there.")
    celery_broker: str = Field(
        "", description="Broker and result store (redis://) of eval shards on Celery; empty means in one process."
    )
    shard_seconds: int = Field(
        900,
        ge=5,
        le=86_400,
        description="After so long a shard of a worker that was lost is given to another; longer than any shard takes.",
    )
    redis_url: str = Field(
        "", description="Redis (redis://, rediss://) in which executors hold limits together; empty means each alone."
    )
    evals_at_once: int = Field(
        8, ge=1, le=1_000, description="How many steps that evaluate run at once under Dagster: shards, and evidence."
    )
    bot_email: str = Field(
        "bot@penstock.invalid", pattern=r"^\S+@\S+$", description="The author of commits of `stages/`."
    )
    promotion: Literal["push", "merge-request"] = Field(
        "push", description="How `stages/` changes: pushed to the base branch, or by a merge request of the bot."
    )
    gitlab_url: str = Field("", description="As https://gitlab.example.com; its token is PENSTOCK_GITLAB_TOKEN.")
    gitlab_project: str = Field("", description="The project's path or number there, as shop/agents.")
    notify_url: str = Field("", description="Where changes are told as CloudEvents by HTTP; empty means nowhere.")
    tool_hosts: list[str] = Field(
        default_factory=list,
        description="What http tools may reach beside public addresses: host:port, or networks as 10.2.0.0/16.",
    )
    otlp_url: str = Field("", description="An OTLP receiver of traces, as http://127.0.0.1:4318; empty means none.")
    log_format: Literal["text", "json"] = Field(
        "text", description="How the executor logs: lines, or one JSON object a line."
    )
    poll_ms: int = Field(200, ge=20, le=60_000, description="How often executors look for a new table, milliseconds.")

    async_workers: int = Field(
        16, ge=0, le=1_000, description="How many queued runs an executor runs at once; 0 = it leaves them to others."
    )
    async_tries: int = Field(
        3,
        ge=1,
        le=100,
        description="How often a queued run may fail by its model or runtime; then it is a dead letter.",
    )
    lease_s: float = Field(
        10.0, ge=1, le=3_600, description="So long after an executor fell silent others take its queued runs, seconds."
    )

    @field_validator("tool_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """The environment gives one text, with commas."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @property
    def state(self) -> Path:
        """The folder of all local state; removing it removes everything that Penstock wrote."""
        return self.root / STATE

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force; a relative SQLite file is meant from the root."""
        scheme, found, file = self.database_url.partition("sqlite:///")
        if not self.database_url:
            return f"sqlite:///{self.state / 'store.db'}"
        return f"sqlite:///{self.root / file}" if found and not scheme and file else self.database_url

    @property
    def releases(self) -> str:
        """The URL or folder of the release store in force."""
        return self._place(self.releases_url, "releases")

    @property
    def payloads(self) -> str:
        """The URL or folder of the payload store in force."""
        return self._place(self.payloads_url, "payloads")

    @property
    def archive(self) -> str:
        """The URL or folder of the archive in force."""
        return self._place(self.archive_url, "archive")

    @property
    def cache(self) -> Path:
        """The executor's cache of releases and tool code."""
        return self.root / (self.cache_dir or f"{STATE}/cache")

    @property
    def spool(self) -> Path:
        """The folder of the executor's spool segments."""
        return self.root / (self.spool_dir or f"{STATE}/spool")

    def _place(self, url: str, default: str) -> str:
        return url if "://" in url else str(self.root / (url or f"{STATE}/{default}"))


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` whose pyproject.toml has a [tool.penstock] table.

    Raises `WrongUse` when there is none.
    """
    for folder in (start, *start.parents):
        if _table(folder) is not None:
            return folder
    raise WrongUse(
        "not inside a Penstock project",
        where=str(start),
        now="`agentctl init DIR` lays one down; --project DIR names one",
    )


def load_settings(start: Path | None = None) -> Settings:
    """The settings of the project around `start` (default: the current folder); raises `WrongUse` on a bad one."""
    root = find_root((start or Path.cwd()).resolve())
    values: dict[str, Any] = dict(_table(root) or {})
    for name in Settings.model_fields:
        from_environment = os.environ.get(f"PENSTOCK_{name.upper()}")
        if name != "root" and from_environment is not None:
            values[name] = from_environment
    try:
        return Settings(root=root, **values)
    except (ValidationError, TypeError) as error:
        raise WrongUse(
            _first_faults(error),
            where=f"{root / 'pyproject.toml'} [tool.penstock] or the environment (PENSTOCK_*)",
            now=f"settings are: {', '.join(name for name in Settings.model_fields if name != 'root')}",
        ) from None


def _table(folder: Path) -> dict[str, Any] | None:
    file = folder / "pyproject.toml"
    if not file.is_file():
        return None
    try:
        tools = tomllib.loads(file.read_text("utf-8")).get("tool")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUse(f"cannot be read: {error}", where=str(file), now="mend the file") from None
    table = tools.get("penstock") if isinstance(tools, dict) else None
    return table if isinstance(table, dict) else None


def _first_faults(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return str(error)
