"""Requests as applications send them: over HTTP, each of its own user, with the version that answered each."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

AT_ONCE = 16
REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's end: `version` answered it at `stage`, or it failed with `problem`."""

    user: str
    input: Any
    version: str
    stage: str
    output: Any
    milliseconds: float
    problem: str = ""


@dataclass(slots=True)
class Traffic:
    """Sends inputs to one agent of an executor, some at once."""

    url: str
    agent: str
    answers: list[Answer] = field(default_factory=list)

    @property
    def versions(self) -> Counter[str]:
        """How many requests each version answered."""
        return Counter(answer.version for answer in self.answers if not answer.problem)

    @property
    def failed(self) -> list[Answer]:
        """Requests without a good answer."""
        return [answer for answer in self.answers if answer.problem]

    async def send(self, inputs: Sequence[Any], *, users: str, stage: str | None = None) -> None:
        """Sends each input once, as the users `<users>-001`, `<users>-002`, ..."""
        async with self._client() as client:
            gate = asyncio.Semaphore(AT_ONCE)

            async def one(index: int, given: Any) -> None:
                async with gate:
                    self.answers.append(await self._ask(client, f"{users}-{index:03}", given, stage))

            await asyncio.gather(*(one(index, given) for index, given in enumerate(inputs, 1)))

    async def send_until(self, inputs: Sequence[Any], done: Callable[[], bool], *, users: str) -> None:
        """Sends the inputs round and round, a few at once, until `done()`; at most 10,000 requests."""
        async with self._client() as client:

            async def lane(number: int) -> None:
                for count in range(10_000 // 4):
                    if done():
                        return
                    given = inputs[(count * 4 + number) % len(inputs)]
                    self.answers.append(await self._ask(client, f"{users}-{number}-{count:04}", given, None))

            await asyncio.gather(*(lane(number) for number in range(4)))

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=REQUEST_TIMEOUT_S, trust_env=False)

    async def _ask(self, client: httpx.AsyncClient, user: str, given: Any, stage: str | None) -> Answer:
        body = {"input": given} if stage is None else {"input": given, "stage": stage}
        begun = time.perf_counter()
        try:
            headers = {"X-Penstock-Tenant": "demo", "X-Penstock-User": user}
            response = await client.post(f"/v1/agents/{self.agent}/runs", json=body, headers=headers)
            result = response.json()
        except (httpx.HTTPError, ValueError) as error:
            return Answer(user, given, "", "", None, _since(begun), f"{type(error).__name__}: {error}")
        if response.status_code != 200:
            problem = f"{response.status_code} {result.get('title') or result.get('what') or result}"
            return Answer(user, given, "", "", None, _since(begun), problem)
        return Answer(user, given, result["version"], result["stage"], result["output"], _since(begun))


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
