"""Callers of every kind that ask executors without pause, and note what these promise them."""

import asyncio
import contextlib
import random
import threading
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from penstock.testing.promises import Promises

ANSWER_S = 30.0
PATIENCE_S = 40.0
AFTER_REFUSAL_S = 0.03
ASYNC = {"prefer": "respond-async"}
TOLD = 500
"""So many of the last runs are asked for again, by turns."""

Kind = Callable[["Caller"], Awaitable[str]]


class Caller:
    """One caller at one moment: an executor's URL, an agent, and a text that nobody else sends."""

    def __init__(self, load: "MixedLoad", session: aiohttp.ClientSession, dice: random.Random) -> None:
        self.load = load
        self.session = session
        self.dice = dice
        self.url = dice.choice(load.urls)
        self.agent = dice.choice(load.agents)
        self.text = uuid.uuid4().hex

    @property
    def path(self) -> str:
        """Where runs of the agent are asked for."""
        return f"{self.url}/v1/agents/{self.agent}/runs"

    def order(self, **more: Any) -> dict[str, Any]:
        """A run order with the text."""
        return {"input": {"text": self.text, **self.load.input}, **more}

    async def post(self, url: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and document of an answer."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.session.post(url, data=data, headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())

    def told(self, kind: str, status: int, document: dict[str, Any]) -> str:
        """Notes an answer; returns how the run stands, or the problem's type."""
        if status == 202:
            self.load.promises.accepted(document["runId"], kind)
            self.load.remember(document["runId"])
            return "accepted"
        stands = str(document.get("runStatus") or document.get("status"))
        if "runId" not in document:
            return str(document.get("type", status)).rpartition("problem:")[2]
        self.load.promises.told(document["runId"], kind, stands, document.get("output"))
        self.load.remember(document["runId"])
        return stands


async def sync(caller: Caller) -> str:
    """Waits for the answer."""
    return caller.told("sync", *await caller.post(caller.path, caller.order()))


async def session(caller: Caller) -> str:
    """A turn of a conversation, which needs the database."""
    order = caller.order(sessionId=f"s{caller.dice.randrange(1_000_000)}")
    return caller.told("session", *await caller.post(caller.path, order))


async def stream(caller: Caller) -> str:
    """Reads the events as they come; the run's end is what the last one says."""
    last: dict[str, Any] = {}
    async with caller.session.post(f"{caller.path}?stream=true", data=orjson.dumps(caller.order())) as answer:
        if answer.status != 200:
            return caller.told("stream", answer.status, orjson.loads(await answer.read()))
        async for line in answer.content:
            if line.startswith(b"data: "):
                last = orjson.loads(line[6:])
    ended = last.get("type", "").removeprefix("run.")
    if ended == "finished":
        caller.load.promises.accepted(last["runId"], "stream")
        caller.load.remember(last["runId"])
    return ended or "broken"


async def respond_async(caller: Caller) -> str:
    """Has a run queued."""
    return caller.told("async", *await caller.post(caller.path, caller.order(), ASYNC))


async def keyed(caller: Caller) -> str:
    """Asks under a key, and again at another executor until there is an answer: it must be of one run."""
    key = {"idempotency-key": caller.text}
    seen: dict[str, str] = {}
    for _ in range(3):
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            status, document = await caller.post(caller.path, caller.order(), key)
            told = caller.told("keyed", status, document)
            if document.get("runStatus") != "rejected" and "runId" in document:  # a rejected run frees its key
                seen[document["runId"]] = f"{status} {told}"
            if len(seen) > 1:
                caller.load.promises.broken.append(f"the key {caller.text} stands for {seen}")
            if status == 200:
                return told
        await asyncio.sleep(AFTER_REFUSAL_S)
        caller.url = caller.dice.choice(caller.load.urls)
    return "unanswered"


async def batch(caller: Caller) -> str:
    """Queues three lines."""
    lines = b"\n".join(orjson.dumps({"text": f"{caller.text}{line}", **caller.load.input}) for line in range(3))
    status, document = await caller.post(f"{caller.url}/v1/agents/{caller.agent}/batches", lines)
    if status != 202:
        return caller.told("batch", status, document)
    async with caller.session.get(f"{caller.url}/v1/batches/{document['batchId']}/results") as answer:
        if answer.status == 200:
            for line in (await answer.read()).splitlines():
                caller.told("batch", 202, orjson.loads(line))
    return "accepted"


async def cancel(caller: Caller) -> str:
    """Has a run queued, and cancelled at another executor."""
    status, document = await caller.post(caller.path, caller.order(), ASYNC)
    told = caller.told("cancel", status, document)
    if told == "accepted":
        await caller.post(f"{caller.dice.choice(caller.load.urls)}/v1/runs/{document['runId']}/cancel", b"")
    return told


async def leave(caller: Caller) -> str:
    """Closes the connection before the answer: nobody was promised anything."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await caller.post(caller.path, caller.order())
    return "left"


ALL: Mapping[str, Kind] = {
    "sync": sync, "session": session, "stream": stream, "async": respond_async,
    "keyed": keyed, "batch": batch, "cancel": cancel, "leave": leave,
}  # fmt: skip


class MixedLoad:
    """A context: inside it `callers` ask in a thread of their own, each one thing after the other.

    `urls` may change while it goes on. `kinds` are names of `ALL` and how often each is drawn; `pause_s` lies between
    two requests of a caller. `counts` has how often what became of which kind: (kind, word).
    """

    def __init__(self, urls: list[str], agents: list[str], promises: Promises, *, seed: int = 0) -> None:
        self.urls = urls
        self.agents = agents
        self.promises = promises
        self.callers = 10
        self.pause_s = 0.0
        self.input: dict[str, Any] = {}
        self.kinds: dict[str, int] = {"sync": 6, "session": 2, "stream": 2, "async": 3, "keyed": 2, "cancel": 1}
        self.kinds |= {"batch": 1, "leave": 1}
        self.counts: Counter[tuple[str, str]] = Counter()
        self._seed = seed
        self._told: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="penstock-load", daemon=True)

    def __enter__(self) -> "MixedLoad":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)

    def count(self, word: str, *kinds: str) -> int:
        """How often that became of requests, of these kinds or of any."""
        counts = list(self.counts.items())
        return sum(count for (kind, became), count in counts if became == word and (not kinds or kind in kinds))

    def remember(self, run_id: str) -> None:
        """Has the run asked for again now and then."""
        self._told.append(run_id)
        del self._told[:-TOLD]

    def _work(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            dice = [random.Random(self._seed + number) for number in range(self.callers + 1)]
            asking = [asyncio.create_task(self._ask_on(session, one)) for one in dice[1:]]
            asking.append(asyncio.create_task(self._look_on(session, dice[0])))
            await asyncio.gather(*asking)

    async def _ask_on(self, session: aiohttp.ClientSession, dice: random.Random) -> None:
        names, weights = list(self.kinds), list(self.kinds.values())
        while not self._stop.is_set():
            [kind] = dice.choices(names, weights)
            try:
                became = await ALL[kind](Caller(self, session, dice))
            except (aiohttp.ClientError, TimeoutError):
                became = "broken"
            self.counts[kind, became] += 1
            is_well = became in {"finished", "accepted", "left"}
            await asyncio.sleep(self.pause_s if is_well else max(self.pause_s, AFTER_REFUSAL_S))

    async def _look_on(self, session: aiohttp.ClientSession, dice: random.Random) -> None:
        """Asks any executor how runs stand that others told of: no end may change."""
        while not self._stop.is_set():
            await asyncio.sleep(AFTER_REFUSAL_S)
            if not self._told:
                continue
            url = f"{dice.choice(self.urls)}/v1/runs/{dice.choice(self._told)}"
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        run = orjson.loads(await answer.read())
                        self.promises.told(run["runId"], "seen", run["status"], run.get("output"))
