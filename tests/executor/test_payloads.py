"""Payloads by their ids, and a tenant's history, asked of an executor in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text, update

from penstock.contracts.retention import RetentionRules
from penstock.executor.app import build_app
from penstock.executor.executor import Executor
from penstock.executor.housekeeping import NAME, Housekeeping
from penstock.executor.payload_routes import MAX_UPLOAD_BYTES
from penstock.settings import load_settings
from penstock.store import tables
from penstock.store.payload_objects import Claim, PayloadObjects
from penstock.store.purge import Purge
from penstock.store.queue import RunQueue
from penstock.store.queue_dead import DeadLetters
from penstock.store.queue_lease import Held, LeaseStore
from penstock.store.retention import Cutoffs
from penstock.testing.executor_world import World, make_world
from penstock.testing.old_runs import event, old_id, payload, run_row
from penstock.testing.paced_executor import PacedProvider

LARGE = "word " * 40_000
ACME = {"X-Penstock-Tenant": "acme"}
OTHER = {"X-Penstock-Tenant": "other"}


class Serving:
    """An executor and a client of it."""

    def __init__(self, executor: Executor, client: httpx.AsyncClient) -> None:
        self.executor = executor
        self.client = client

    async def run(self, order: dict[str, Any], agent: str = "echo", **headers: str) -> httpx.Response:
        return await self.client.post(f"/v1/agents/{agent}/runs", json=order, headers={**ACME, **headers})

    async def get(self, path: str, tenant: dict[str, str] = ACME, **query: Any) -> Any:
        answer = await self.client.get(path, headers=tenant, params=query)
        return answer.json() if answer.status_code == 200 else answer.status_code


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("payloads") / "project")


@contextlib.asynccontextmanager
async def serving(root: Path) -> AsyncIterator[Serving]:
    async with Executor(load_settings(root), provider=PacedProvider(None)) as executor:
        transport = httpx.ASGITransport(build_app(executor), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Serving(executor, client)


async def test_a_large_output_is_answered_whole_and_fetched_by_its_id(project: World) -> None:
    async with serving(project.root) as one:
        result = (await one.run({"input": {"text": LARGE}})).json()
        assert result["output"] == LARGE
        await require_readable(one, result)
    async with serving(project.root) as one:  # another process: it reads what is stored
        await require_readable(one, result)
        one.executor.database.runs.delete_payloads(result["runId"])
        assert await one.get(f"/v1/payloads/{result['resultRefId']}") == 404
        assert (await one.get(f"/v1/runs/{result['runId']}"))["output"] is None


async def require_readable(one: Serving, result: dict[str, Any]) -> None:
    path = f"/v1/runs/{result['runId']}"
    whole, brief = await one.get(path), await one.get(path, output="reference")
    assert (whole["output"], brief["output"]) == (LARGE, None)
    assert whole["resultRefId"] == brief["resultRefId"] == result["resultRefId"]
    assert await one.get(f"/v1/payloads/{result['resultRefId']}") == LARGE
    assert await one.get(f"/v1/payloads/{result['contextRefId']}") == {"text": LARGE}
    for ref_id in (result["resultRefId"], result["contextRefId"], "nonsense", "x" * 200):
        assert await one.get(f"/v1/payloads/{ref_id}", OTHER) in (404, 422)


async def test_an_input_may_be_left_first_and_named_by_its_id(project: World) -> None:
    async with serving(project.root) as one:
        kept = await one.client.post("/v1/payloads", content=b'{ "text": "from far" }', headers=ACME)
        assert kept.status_code == 201
        ref_id = kept.json()["contextRefId"]
        assert kept.headers["location"] == f"/v1/payloads/{ref_id}"
        assert await one.get(f"/v1/payloads/{ref_id}") == {"text": "from far"}
        for _ in range(2):
            assert (await one.run({"contextRefId": ref_id})).json()["output"] == "from far"
        accepted = await one.run({"contextRefId": ref_id}, Prefer="respond-async")
        assert accepted.status_code == 202
        assert [p.body for p in one.executor.database.runs.payloads(accepted.json()["runId"], ("input",))] == [
            {"text": "from far"}
        ]
        assert (await one.run({"contextRefId": ref_id}, **OTHER)).status_code == 404
        assert (await one.run({"contextRefId": ref_id, "input": 1})).status_code == 422
        assert (await one.run({"contextRefId": 1})).status_code == 422


async def test_an_upload_is_bounded_and_must_be_json(project: World) -> None:
    async with serving(project.root) as one:
        large = b'{"text": "' + b"a" * (2 << 20) + b'"}'
        ref_id = (await one.client.post("/v1/payloads", content=large, headers=ACME)).json()["contextRefId"]
        answer = await one.run({"contextRefId": ref_id})
        assert (answer.status_code, len(answer.json()["output"])) == (200, 2 << 20)
        over = await one.client.post("/v1/payloads", content=b" " * (MAX_UPLOAD_BYTES + 1), headers=ACME)
        assert (over.status_code, (await one.client.post("/v1/payloads", content=b"{")).status_code) == (413, 400)


async def test_a_payload_store_that_is_away_is_503_and_small_runs_go_on(project: World, tmp_path: Path) -> None:
    root = make_world(tmp_path / "project").root
    (root / ".penstock").mkdir(exist_ok=True)
    (root / ".penstock/payloads").write_text("in the way")
    async with serving(root) as one:
        refused = await one.run({"input": {"text": LARGE}})
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:penstock:problem:unavailable")
        assert (await one.client.post("/v1/payloads", content=b"1")).status_code == 503
        assert (await one.run({"input": {"text": "small"}})).status_code == 200
        [rejected] = [run for run in await stored_runs(one) if run["status"] == "rejected"]
        assert "was not stored" in rejected["error"]["what"]


async def test_the_large_input_of_a_run_that_waits_is_in_no_row_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts, put = list[str](), PayloadObjects.put

    def noted(objects: PayloadObjects, tenant: str | None, owner: str, role: str, data: bytes) -> Claim:
        puts.append(role)
        return put(objects, tenant, owner, role, data)

    monkeypatch.setattr(PayloadObjects, "put", noted)
    lines = b'{"text": "small"}\n' + orjson.dumps({"text": LARGE})
    async with serving(make_world(tmp_path / "project").root) as one:
        queued = (await one.run({"input": {"text": LARGE}}, Prefer="respond-async")).json()
        batch = (await one.client.post("/v1/agents/echo/batches", content=lines, headers=ACME)).json()
        keyed = await one.run({"input": {"text": LARGE}}, **{"Idempotency-Key": "k"})
        assert keyed.json()["output"] == LARGE
        assert largest_body(one) < one.executor.settings.claim_check_bytes
        dead = dead_letter(one, queued["runId"])
        again = DeadLetters(one.executor.database.database).replay(dead)
        assert largest_body(one) < one.executor.settings.claim_check_bytes
        one.executor.database.runs.delete_payloads(dead)  # the new run has its own
        one.executor.worker.start()
        await until_done(one, f"/v1/runs/{again}", "finished")
        await until_done(one, batch["url"], "done")
        document = await one.get(f"/v1/runs/{again}")
        assert document["output"] == LARGE
        assert await one.get(f"/v1/payloads/{document['contextRefId']}") == {"text": LARGE}
        results = await one.client.get(f"{batch['url']}/results", headers=ACME)
        assert [orjson.loads(line)["output"] for line in results.text.splitlines()] == ["small", LARGE]
        assert puts.count("input") == 4  # queued, a line of the batch, keyed, replayed: once each
        assert largest_body(one) < one.executor.settings.claim_check_bytes


async def test_a_run_waits_while_its_input_cannot_be_fetched(tmp_path: Path) -> None:
    root = make_world(tmp_path / "project").root
    payloads, away = root / ".penstock/payloads", root / ".penstock/away"
    async with serving(root) as one:
        queued = (await one.run({"input": {"text": LARGE}}, Prefer="respond-async")).json()
        payloads.rename(away)
        payloads.write_text("in the way")
        refused = await one.run({"input": {"text": LARGE}}, Prefer="respond-async")
        assert refused.status_code == 503
        assert [depth.runs for depth in RunQueue(one.executor.database.database).depths()] == [1]
        one.executor.worker.start()
        waiting = await until_done(one, queued["url"], "queued", error=True)
        assert waiting["error"]["code"] == "unavailable"
        payloads.unlink()
        away.rename(payloads)
        assert (await until_done(one, queued["url"], "finished"))["output"] == LARGE


def largest_body(one: Serving) -> int:
    with one.executor.database.database.read() as connection:
        return int(connection.execute(text("SELECT max(length(body)) FROM payloads")).scalar_one())


def dead_letter(one: Serving, run_id: str) -> str:
    """Ends the run that waits first as failed for good; returns its id."""
    store = LeaseStore(one.executor.database.database, "nobody", 10)
    [leased] = store.claim(1, 0)
    assert leased.row.run_id == run_id
    error = {"code": "model", "what": "fell over", "where": "model", "now": "ask again"}
    store.end(Held(run_id, leased.row.attempt), [], "failed", error)
    return run_id


async def until_done(one: Serving, url: str, status: str, *, error: bool = False) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            document: dict[str, Any] = await one.get(url)
            if document["status"] == status and (not error or document.get("error")):
                return document
            await asyncio.sleep(0.02)


async def stored_runs(one: Serving) -> list[dict[str, Any]]:
    """The runs of the tenant, once the database has two."""
    async with asyncio.timeout(10):
        while True:
            found: list[dict[str, Any]] = (await one.get("/v1/runs"))["runs"]
            if len(found) == 2:
                return found
            await asyncio.sleep(0.01)


async def test_a_tenant_lists_its_own_runs_page_by_page(tmp_path: Path) -> None:
    async with serving(make_world(tmp_path / "project").root) as one:
        store = one.executor.database.runs
        ids = [old_id(5 - number, number) for number in range(5)]
        for number, run_id in enumerate(ids):
            more = {"agent": "talk", "sessionId": "s"} if number == 2 else {}
            store.ingest([run_row(run_id, 5 - number, tenant="acme", **more)])
        store.ingest([run_row(old_id(1, 8), 1, tenant="other"), run_row(old_id(1, 9), 1)])
        seen: list[str] = []
        cursor: str | None = None
        while True:
            asked: dict[str, Any] = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = await one.get("/v1/runs", **asked)
            seen += [run["runId"] for run in page["runs"]]
            cursor = page["next"]
            if cursor is None:
                break
            assert len(page["runs"]) == 2
        assert seen == ids[::-1]
        by_session = await one.get("/v1/runs", session="s")
        assert [run["runId"] for run in by_session["runs"]] == [ids[2]]
        assert by_session == await one.get("/v1/runs", agent="talk", status="finished", stage="prod")
        since = store.run(ids[3])["startedAt"]  # type: ignore[index]
        assert [run["runId"] for run in (await one.get("/v1/runs", since=since))["runs"]] == [ids[4], ids[3]]
        assert [run["tenant"] for run in (await one.get("/v1/runs", {}))["runs"]] == [None]
        assert (await one.get("/v1/runs", status="failed"))["runs"] == []
        assert await one.get("/v1/runs", status="running") == {"runs": [], "next": None}
        for name, status in (("cursor", 400), ("since", 400), ("status", 422), ("limit", 422)):
            query: dict[str, Any] = {name: "nonsense"}
            assert await one.get("/v1/runs", **query) == status


async def test_runs_in_flight_are_listed_to_their_tenant(project: World) -> None:
    async with serving(project.root) as one:
        going = asyncio.create_task(one.run({"input": {"text": "slow", "delayMs": 60_000}}))
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while not found:
                await asyncio.sleep(0.01)
                found = (await one.get("/v1/runs", status="running"))["runs"]
        assert (found[0]["agent"], found[0]["status"]) == ("echo", "running")
        assert (await one.get("/v1/runs", OTHER, status="running"))["runs"] == []
        await one.client.post(f"/v1/runs/{found[0]['runId']}/cancel", headers=ACME)
        assert (await going).status_code == 409


async def test_a_run_older_than_the_database_is_answered_from_the_archive(tmp_path: Path) -> None:
    async with serving(make_world(tmp_path / "project").root) as one:
        link = one.executor.database
        run_id = old_id(40, 1)
        objects = PayloadObjects(one.executor.settings.payloads)
        kept = objects.put("acme", run_id, "output", b'"old words"')
        claim = {"kind": "payload", "runId": run_id, "ref": "output", "role": "output", "claim": kept.as_document()}
        row = run_row(run_id, 40, tenant="acme", resultRefId=kept.ref_id)
        link.runs.ingest([event(run_id, 1, tenant="acme"), payload(run_id, "input", 1), claim, row])
        Purge(link.database, Cutoffs.of(RetentionRules.model_validate({}))).run()
        with link.database.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM runs")).scalar_one() == 0
        document = await one.get(f"/v1/runs/{run_id}")
        assert (document["output"], document["status"]) == ("old words", "finished")
        assert await one.get(f"/v1/payloads/{kept.ref_id}") == "old words"
        events = await one.client.get(f"/v1/runs/{run_id}/events", headers=ACME)
        assert events.text.count("data: ") == 1
        for path in (f"/v1/runs/{run_id}", f"/v1/payloads/{kept.ref_id}"):
            assert await one.get(path, OTHER) == 404


async def test_one_of_all_executors_tidies_up_once_it_is_due(tmp_path: Path) -> None:
    async with serving(make_world(tmp_path / "project").root) as one:
        link = one.executor.database
        run_id = old_id(40, 1)
        link.runs.ingest([event(run_id, 1), payload(run_id, "input", 1), run_row(run_id, 40)])
        first, second = (Housekeeping(link, lambda: RetentionRules.model_validate({})) for _ in range(2))
        assert not first.look()
        with link.database.write() as connection:
            due = update(tables.duties).where(tables.duties.c.name == NAME)
            connection.execute(due.values(due="2000-01-01T00:00:00.000000Z"))
        assert first.look()
        assert not second.look()
        assert not first.look()
        assert link.runs.runs() == []
        assert link.runs.run(run_id) is not None
