import os
import subprocess
import sys
from pathlib import Path

import pytest

OPTIONS = ["--import-mode=importlib", "-p", "penstock.testing.tool_fixture", "-p", "no:cacheprovider", "-c", os.devnull]


def run(folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-m", "pytest", str(folder), "--rootdir", str(folder), *OPTIONS],
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_the_fixture_loads_a_tool_as_an_executor_does(tmp_path: Path, kind: str) -> None:
    (tmp_path / "words.py").write_text("COUNT = 0\n")
    (tmp_path / "tool.py").write_text(
        f"from . import words\n{kind} act(arguments, ctx):\n    words.COUNT += 1\n"
        "    return {'n': words.COUNT, 'l': ctx.params.get('limit'), 's': ctx.secrets.get('KEY'), 'm': __name__}\n"
    )
    (tmp_path / "test_tool.py").write_text(
        "import sys\n"
        "def test_result(tool):\n"
        "    tool.secrets['KEY'] = 'k'\n"
        "    module = 'penstock_tool_under_test.tool'\n"
        "    assert tool({}, limit=3) == {'n': 1, 'l': 3, 's': 'k', 'm': module}\n"
        "def test_modules_are_new_in_each_test(tool):\n"
        "    assert tool({})['n'] == 1\n"
        "    assert tool.module('words').COUNT == 1\n"
        "    assert 'words' not in sys.modules\n"
    )
    said = run(tmp_path, PENSTOCK_TOOL_FOLDER=str(tmp_path), PENSTOCK_TOOL_ENTRY="tool:act")
    assert "2 passed" in said, said


def test_without_the_environment_the_tools_document_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "1.0.0"
    folder.mkdir()
    (folder / "code.py").write_text("def act(a, c): return {'ok': True}\n")
    (folder / "test_code.py").write_text("def test_it(tool): assert tool({}) == {'ok': True}\n")
    assert "set PENSTOCK_TOOL_ENTRY" in run(folder)
    (tmp_path / "1.0.0.yaml").write_text("spec: {implementation: {type: python, entry: 'code:act'}}\n")
    said = run(folder)
    assert "1 passed" in said, said


def test_what_the_tool_raises_comes_through(tmp_path: Path) -> None:
    (tmp_path / "tool.py").write_text("async def act(a, c): raise KeyError('gone')\n")
    (tmp_path / "test_tool.py").write_text(
        "import pytest\ndef test_it(tool):\n    with pytest.raises(KeyError, match='gone'): tool({})\n"
    )
    said = run(tmp_path, PENSTOCK_TOOL_FOLDER=str(tmp_path), PENSTOCK_TOOL_ENTRY="tool:act")
    assert "1 passed" in said, said
