from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped, unused-ignore]
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped, unused-ignore]
from moto.server import ThreadedMotoServer

from penstock.contracts.retention import RetentionRules
from penstock.errors import Unavailable
from penstock.store.cloud import CloudStore
from penstock.store.objects import open_objects
from penstock.store.purge import Purge
from penstock.store.releases import ReleaseStore
from penstock.store.retention import Cutoffs
from penstock.testing.old_runs import OldRuns

BUCKET = "releases"


def client(url: str) -> Any:
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client(url).create_bucket(Bucket=BUCKET)
    yield url
    server.stop()


@pytest.fixture
def objects(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> CloudStore:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store = open_objects(f"s3://{BUCKET}/{request.node.name}")
    assert isinstance(store, CloudStore)
    return store


def test_this_server_refuses_a_second_create(endpoint: str) -> None:
    """Without it, the tests below would show nothing of exclusive creation."""
    s3 = client(endpoint)
    s3.put_object(Bucket=BUCKET, Key="probe", Body=b"one", IfNoneMatch="*")
    with pytest.raises(ClientError) as refusal:
        s3.put_object(Bucket=BUCKET, Key="probe", Body=b"two", IfNoneMatch="*")
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert s3.get_object(Bucket=BUCKET, Key="probe")["Body"].read() == b"one"


def test_an_object_is_created_once(objects: CloudStore) -> None:
    assert objects.create("routing/000000000001.json", b"one") is True
    assert objects.create("routing/000000000001.json", b"two") is False
    assert objects.get("routing/000000000001.json") == b"one"
    assert objects.get("routing/000000000002.json") is None


def test_names_are_listed_below_a_folder(objects: CloudStore) -> None:
    for name in ("b/2", "b/1", "bb/1"):
        objects.create(name, b"x")
    assert objects.list("b/") == ["b/1", "b/2"]
    assert objects.list("") == ["b/1", "b/2", "bb/1"]
    assert objects.list("none/") == []


def test_a_hint_may_be_replaced(objects: CloudStore) -> None:
    objects.replace_hint("hint", b"1")
    objects.replace_hint("hint", b"2")
    assert objects.get("hint") == b"2"


def test_a_release_store_works_on_it(objects: CloudStore) -> None:
    store = ReleaseStore(objects)
    assert store.lineage(create=True) == store.lineage(create=True) == store.lineage()
    assert store.newest_table() is None


def test_what_is_kept_of_runs_has_an_end(objects: CloudStore, tmp_path: Path) -> None:
    place = f"{objects.url}/runs"
    world = OldRuns(tmp_path, payloads_url=f"{place}/payloads", archive_url=f"{place}/archive")
    run_id = world.add(40, 1, is_large=True)
    assert world.bodies(run_id) == [{"n": 1}, "output 1"]
    kept = RetentionRules.model_validate({})
    done = Purge(world.database, Cutoffs.of(kept)).run()
    assert (done.runs, done.payload_objects, world.objects.days("runs")) == (1, 1, [])
    assert world.bodies(run_id) == [{"n": 1}, "output 1"]
    world.store.delete_payloads(run_id)
    assert world.bodies(run_id) == []
    over = Purge(world.database, Cutoffs.of(kept, datetime.now(UTC) + timedelta(days=365))).run()
    assert (over.archived_objects, over.archived_payload_objects) == (2, 1)
    assert world.store.run(run_id) is None
    world.database.close()


def test_a_server_that_is_gone_is_unavailable(monkeypatch: pytest.MonkeyPatch, objects: CloudStore) -> None:
    monkeypatch.setattr("penstock.store.cloud.RETRIES", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="failed at x"):
        CloudStore(f"s3://{BUCKET}").get("x")


def test_plain_http_is_for_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://198.51.100.7:9000")
    with pytest.raises(Unavailable, match="https"):
        CloudStore(f"s3://{BUCKET}")


def test_a_bucket_that_does_not_exist_is_unavailable(objects: CloudStore) -> None:
    with pytest.raises(Unavailable):
        CloudStore("s3://no-such-bucket/x").create("a", b"1")
