from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from penstock.cli.main import main
from penstock.routing.table_memory import TableMemory
from penstock.store.database import open_database
from penstock.store.releases import table_name

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def agentctl(tmp_path: Path, released: Any, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command with --json in a project around the release store; its exit status and JSON document."""
    settings = f'[tool.penstock]\nreleases_url = "{released.store.url}"\n'
    (tmp_path / "pyproject.toml").write_text(settings)

    def run(*words: str) -> tuple[int, Any]:
        status = main(["--project", str(tmp_path), *words, "--json"])
        return status, orjson.loads(capsys.readouterr().out)

    return run


def test_the_table_in_force_is_shown_as_unsigned(agentctl: Command, released: Any) -> None:
    released.publish("1.0.0")
    status, shown = agentctl("routes")
    assert status == 0
    assert shown["signature"] == "unsigned"
    assert shown["table"]["agents"]["clerk"]["prod"]["version"] == "1.0.0"
    assert agentctl("routes", "show") == (0, shown)


def test_people_read_who_stands_where(
    tmp_path: Path, agentctl: Command, released: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = released.entry("1.1.0", weightBp=2000, salt="s", step=1, since="", allow={})
    released.publish("1.0.0", canary=canary, dev=[released.entry("1.2.0")], hold={"by": "ann"})
    Path(released.store.url, table_name(2)).write_bytes(b"{")
    assert main(["--project", str(tmp_path), "routes"]) == 0
    out = capsys.readouterr().out
    assert "generation 1, unsigned" in out
    assert "generation 2 is not complete" in out
    assert "clerk [active]: prod 1.0.0; canary 1.1.0 at 20 %; dev 1.2.0; on hold" in out


def test_without_a_table_or_a_store_it_says_so(agentctl: Command, released: Any) -> None:
    assert agentctl("routes")[0] == 3
    released.store.lineage(create=True)
    status, shown = agentctl("routes")
    assert status == 1
    assert shown["error"]["type"] == "not-found"


def test_history_says_who_did_what_and_why(agentctl: Command, released: Any) -> None:
    released.publish("1.0.0")
    released.publish("1.1.0", kind="rollback")
    Path(released.store.url, table_name(3)).write_bytes(b"{")
    status, shown = agentctl("routes", "history")
    assert status == 0
    assert [(row["generation"], row["kind"]) for row in shown["generations"]] == [
        (3, "incomplete"),
        (2, "rollback"),
        (1, "promote"),
    ]
    assert shown["generations"][1]["actor"] == "ann@example.org"
    assert shown["generations"][1]["reason"] == "a test"
    assert len(agentctl("routes", "history", "--limit", "1")[1]["generations"]) == 1


def test_verify_reads_everything_and_names_every_fault(agentctl: Command, released: Any) -> None:
    for version in ("1.0.0", "1.1.0"):
        released.publish(version)
    status, shown = agentctl("routes", "verify")
    assert (status, shown["faults"]) == (0, [])
    assert (shown["tables"], shown["releases"]) == (2, 2)
    digest = released.release("1.1.0")
    Path(released.store.url, "releases", "sha256", f"{digest[7:]}.json").write_bytes(b"{}")
    for blob in Path(released.store.url, "blobs", "sha256").iterdir():
        blob.write_bytes(b"changed")
    Path(released.store.url, table_name(3)).write_bytes(b"half")
    status, shown = agentctl("routes", "verify")
    assert status == 1
    assert len(shown["faults"]) == 3
    assert any(digest[7:] in fault for fault in shown["faults"])


def test_verify_finds_a_break_in_the_chain(agentctl: Command, released: Any) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        released.publish(version)
    Path(released.store.url, table_name(2)).unlink()
    status, shown = agentctl("routes", "verify")
    assert status == 1
    assert "says it came after 2, it came after 1" in shown["faults"][0]


def test_diff_shows_what_changed(agentctl: Command, released: Any) -> None:
    released.publish("1.0.0")
    released.publish("1.1.0", status="frozen")
    status, shown = agentctl("routes", "diff", "1", "2")
    assert status == 0
    assert [(change["agent"], change["field"]) for change in shown["changes"]] == [
        ("clerk", "prod"),
        ("clerk", "status"),
    ]
    assert agentctl("routes", "diff", "1", "1")[1]["changes"] == []
    assert agentctl("routes", "diff", "1", "9")[0] == 1
    assert main(["routes", "diff", "one", "2"]) == 2


def test_adopt_lets_this_cache_take_the_stores_lineage(agentctl: Command, released: Any, tmp_path: Path) -> None:
    table = released.publish("1.0.0")
    status, shown = agentctl("routes", "adopt")
    assert status == 0
    assert shown == {"before": None, "lineage": table.lineage}
    assert TableMemory(tmp_path / ".penstock" / "cache").adopted() == table.lineage


def test_json_before_a_subcommand_is_wrong_use(agentctl: Command, tmp_path: Path) -> None:
    assert main(["--project", str(tmp_path), "routes", "--json", "show"]) == 2


def test_upgrade_makes_and_leaves_the_database(agentctl: Command, tmp_path: Path) -> None:
    status, shown = agentctl("upgrade")
    assert status == 0
    assert shown["database"]["before"] is None
    assert agentctl("upgrade")[1]["database"]["before"] == shown["database"]["after"]
    database = open_database(f"sqlite:///{tmp_path / '.penstock' / 'store.db'}")
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    status, shown = agentctl("upgrade")
    assert status == 3
    assert "newer penstock" in shown["error"]["what"]
