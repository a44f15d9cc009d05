import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.scaffold.project import lay_down_project
from penstock.store.database import open_database


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada Author\n\temail = ada@example.org\n", "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return lay_down_project(tmp_path / "proj").root


@pytest.fixture
def examined(root: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(status: int) -> dict[str, dict[str, str]]:
        capsys.readouterr()
        assert main(["--project", str(root), "doctor", "--json"]) == status
        return {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}

    return run


def change_settings(root: Path, line: str) -> None:
    with (root / "pyproject.toml").open("a") as file:
        file.write(f"{line}\n")


def test_a_new_project_is_well_and_nothing_is_written(root: Path, examined: Any) -> None:
    found = examined(0)
    assert {finding["status"] for finding in found.values()} == {"ok"}
    assert {"python", "git", "identity", "registry", "release store", "database", "clock", "state"} <= found.keys()
    assert not (root / ".penstock").exists()


def test_people_read_one_line_a_check(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--project", str(root), "doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok    ") for line in lines)
    assert any("Ada Author <ada@example.org>, self-declared" in line for line in lines)


def test_outside_a_project_the_machine_is_still_examined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--project", str(tmp_path), "doctor"]) == 1
    out = capsys.readouterr().out
    assert "ok    python" in out
    assert "FAIL  settings" in out
    assert "agentctl init DIR" in out


def test_faults_of_the_registry_are_the_projects(root: Path, examined: Any) -> None:
    (root / "registry_repo/retired.yaml").write_text("deprecated: [\n")
    found = examined(1)["registry"]
    assert found["status"] == "fail"
    assert "registry_repo/retired.yaml:" in found["what"]
    assert found["now"] == "`agentctl validate`"


def test_a_remote_that_is_away_is_the_environments(root: Path, examined: Any) -> None:
    subprocess.run(["git", "-C", str(root), "remote", "add", "origin", str(root / "gone.git")], check=True)
    found = examined(3)
    assert found["remote"]["status"] == "fail"
    assert "origin cannot be read" in found["remote"]["what"]
    assert found["database"]["status"] == "ok"


def test_a_remote_without_the_base_branch(root: Path, examined: Any, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "remote.git")], check=True)
    subprocess.run(["git", "-C", str(root), "remote", "add", "origin", str(tmp_path / "remote.git")], check=True)
    assert "origin has no branch main" in examined(3)["remote"]["what"]


def test_a_shallow_clone_says_how_to_fetch(root: Path, examined: Any, tmp_path: Path) -> None:
    from penstock.cli.health import repository
    from penstock.settings import load_settings

    subprocess.run(["git", "-C", str(root), "commit", "-q", "--allow-empty", "-m", "More"], check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{root}", str(clone)], check=True)
    found = {finding.check: finding for finding in repository(load_settings(clone))}
    assert found["base branch"].status == "fail"
    assert "git fetch --unshallow" in found["base branch"].now


def test_no_identity_is_a_warning(root: Path, examined: Any, tmp_path: Path) -> None:
    (tmp_path / "gitconfig").write_text("")
    assert examined(0)["identity"]["status"] == "warn"


def test_a_default_runtime_that_is_not_declared(root: Path, examined: Any) -> None:
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace('default_runtime = "langgraph"', 'default_runtime = "other"'))
    assert "default runtime other is not declared" in examined(1)["runtimes"]["what"]


def test_a_runtime_in_another_version_than_declared(root: Path, examined: Any) -> None:
    path = root / "runtimes/langgraph.yaml"
    path.write_text(path.read_text().replace('">=1.2,<1.3"', '">=99"'))
    found = examined(3)["runtime langgraph"]
    assert found["status"] == "fail"
    assert found["now"] == "pip install 'langgraph>=99'"


def test_what_the_settings_ask_for_must_be_installed(
    root: Path, examined: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.cli import health

    monkeypatch.setitem(health.EXTRAS, "dagster", ("no-such-distribution", "nothing"))
    assert examined(0)["extra dagster"]["status"] == "warn"
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace('driver = "ci"', 'driver = "dagster"'))
    found = examined(3)["extra dagster"]
    assert found["status"] == "fail"
    assert found["now"] == "pip install 'penstock[dagster]'"


def test_a_release_store_that_should_be_there_and_is_not(root: Path, examined: Any) -> None:
    change_settings(root, f'releases_url = "{root}/mounted"')
    assert "is not there" in examined(3)["release store"]["what"]


def test_a_release_store_is_named_by_its_lineage(root: Path, examined: Any) -> None:
    from penstock.store.objects import open_objects
    from penstock.store.releases import ReleaseStore

    lineage = ReleaseStore(open_objects(str(root / ".penstock/releases"))).lineage(create=True)
    assert f"lineage {lineage}, no routing table yet" in examined(0)["release store"]["what"]


def test_a_database_of_a_newer_program_is_the_environments(root: Path, examined: Any) -> None:
    from sqlalchemy import text

    (root / ".penstock").mkdir()
    database = open_database(f"sqlite:///{root / '.penstock/store.db'}")
    assert examined(0)["database"]["status"] == "ok"
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    assert examined(3)["database"]["status"] == "fail"


def test_a_database_url_that_is_none(root: Path, examined: Any) -> None:
    change_settings(root, 'database_url = "::"')
    assert "no SQLAlchemy URL" in examined(1)["database"]["what"]


def test_a_commit_of_the_future_means_a_wrong_clock(root: Path, examined: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2099-01-01T00:00:00Z")
    subprocess.run(["git", "-C", str(root), "commit", "-q", "--allow-empty", "-m", "From afar"], check=True)
    found = examined(0)["clock"]
    assert found["status"] == "warn"
    assert "in the future" in found["what"]


def test_state_that_cannot_be_written(root: Path, examined: Any) -> None:
    (root / ".penstock").write_text("a file")
    assert examined(3)["state"]["status"] == "fail"
