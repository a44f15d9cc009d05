from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Git's own settings of whoever runs the tests are out of the way; the person is Ada."""
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Ada Author\n\temail = Ada@Example.org\n", "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return "ada@example.org"
