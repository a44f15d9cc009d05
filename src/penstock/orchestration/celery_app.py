"""Celery for eval shards: `celery -A penstock.orchestration.celery_app worker -Q dagster` in the project's folder.

Both ends take the same settings from here. A task is acknowledged when it is done, so that a worker that is lost loses
nothing: after `shard_seconds` the broker gives its shards to another, which finds the trials that were made.
"""

import importlib
from typing import Any

import dagster as dg

from penstock.errors import Unavailable
from penstock.llm.load import load
from penstock.settings import Settings, load_settings

try:
    from celery import Celery
    from dagster_celery import celery_executor
    from dagster_celery.make_app import make_app
    from dagster_celery.tasks import create_task
except ImportError:
    raise Unavailable(
        "eval shards on Celery need dagster-celery", where="celery_broker", now="pip install 'penstock[celery]'"
    ) from None


LOOK_AGAIN_S = 2
"""How often each worker looks for shards of workers that were lost; Redis is asked one cheap question."""


def celery_settings(settings: Settings) -> dict[str, Any]:
    """What both ends are started with."""
    return {
        "broker": settings.celery_broker,
        "backend": settings.celery_broker,
        "include": ["penstock.orchestration.celery_app"],
        "config_source": {
            "task_acks_late": True,
            "task_reject_on_worker_lost": True,
            "worker_prefetch_multiplier": 1,
            "worker_concurrency": 1,
            "broker_connection_retry_on_startup": True,
            "broker_transport_options": {
                "visibility_timeout": settings.shard_seconds,
                "unacked_restore_interval": LOOK_AGAIN_S,
                "unacked_restore_throttle": 1,  # else workers look for lost shards every tenth time only
            },
            "result_backend_transport_options": {"visibility_timeout": settings.shard_seconds},
        },
    }


def shard_executor(settings: Settings) -> dg.ExecutorDefinition:
    """Dagster's executor for Celery with these settings."""
    return celery_executor.configured(celery_settings(settings), name="celery")


def worker_app() -> Celery:
    """The app that workers run; raises `Unavailable` in a project that names no broker, and without LiteLLM."""
    settings = load_settings()
    if not settings.celery_broker:
        raise Unavailable("no broker is named", where="celery_broker", now="set PENSTOCK_CELERY_BROKER=redis://...")
    # Before the worker forks and says that it is ready: else its first shard takes half a minute on a busy machine.
    load()
    importlib.import_module("penstock.orchestration.definitions")
    found = celery_settings(settings)
    made: Celery = make_app(  # type: ignore[no-untyped-call]
        {name: found[name] for name in ("broker", "backend", "include")}
    )
    made.conf.update(found["config_source"])
    create_task(made)  # type: ignore[no-untyped-call]
    return made


def __getattr__(name: str) -> Any:
    """`app`, which Celery's command looks for, made when it is asked for."""
    if name == "app":
        return globals().setdefault("app", worker_app())
    raise AttributeError(name)
