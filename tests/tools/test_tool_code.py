import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from penstock.errors import Invalid, Unavailable
from penstock.pal import ToolFailed
from penstock.tools.code import check_requires, load_code
from penstock.tools.package import forget, import_entry

ACT = "async def act(arguments, ctx):\n    return {}\n"


def test_files_are_laid_down_by_the_digest_of_the_code(bench: Any) -> None:
    tool = bench.tool({"tool.py": ACT, "data/words.txt": "one\n"})
    code = load_code(tool, bench.cache, bench.blobs.__getitem__)
    assert code.folder == bench.cache / "tools" / tool.code_digest.removeprefix("sha256:")
    assert (code.folder / "data/words.txt").read_text() == "one\n"
    assert code.package == f"penstock_tool_{code.folder.name}"
    assert [place.name for place in code.folder.parent.iterdir()] == [code.folder.name]


@pytest.mark.parametrize("harm", ["changed", "removed", "added"])
def test_a_folder_that_is_not_what_the_digest_says_is_laid_down_anew(bench: Any, harm: str) -> None:
    tool = bench.tool({"tool.py": ACT, "words.txt": "one\n"})
    folder = load_code(tool, bench.cache, bench.blobs.__getitem__).folder
    if harm == "changed":
        (folder / "words.txt").write_text("two\n")
    elif harm == "removed":
        (folder / "words.txt").unlink()
    else:
        (folder / "sitecustomize.py").write_text("raise SystemExit\n")
    load_code(tool, bench.cache, bench.blobs.__getitem__)
    assert sorted(place.name for place in folder.iterdir()) == ["tool.py", "words.txt"]
    assert (folder / "words.txt").read_text() == "one\n"
    assert len(list(folder.parent.iterdir())) == 1


def test_code_that_is_there_needs_no_store(bench: Any) -> None:
    tool = bench.tool(ACT)
    load_code(tool, bench.cache, bench.blobs.__getitem__)
    bench.blobs.clear()
    assert load_code(tool, bench.cache, bench.blobs.__getitem__).is_async


def test_eight_at_once_lay_down_one_folder(bench: Any) -> None:
    tool = bench.tool({f"part_{n}.py": f"N = {n}\n" for n in range(50)} | {"tool.py": ACT})
    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(lambda _: load_code(tool, bench.cache, bench.blobs.__getitem__), range(8)))
    assert len({code.folder for code in codes}) == 1
    assert [place.name for place in codes[0].folder.parent.iterdir()] == [codes[0].folder.name]


def test_a_blob_that_is_another_is_refused(bench: Any) -> None:
    tool = bench.tool(ACT)
    with pytest.raises(Invalid, match="not what the release says"):
        load_code(tool, bench.cache, lambda _: b"import os\n")
    assert list((bench.cache / "tools").iterdir()) == []


@pytest.mark.parametrize("path", ["../outside.py", "/tmp/outside.py", "a/../../outside.py"])
def test_a_path_out_of_the_folder_is_refused(bench: Any, path: str) -> None:
    tool = bench.tool({path: "X = 1\n", "tool.py": ACT})
    with pytest.raises(Invalid, match="leads out of"):
        load_code(tool, bench.cache, bench.blobs.__getitem__)


def test_a_disk_that_cannot_be_written_is_the_environments_fault(bench: Any) -> None:
    bench.cache.write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match="cannot be written"):
        load_code(bench.tool(ACT), bench.cache, bench.blobs.__getitem__)


def test_every_unmet_requirement_is_named() -> None:
    with pytest.raises(Unavailable) as caught:
        check_requires(["pytest>=1", "pydantic<1", "no-such-thing-here>=2"], "tools/act@1.0.0")
    assert "pydantic<1, but 2" in caught.value.what
    assert "no-such-thing-here>=2, which is not installed" in caught.value.what
    assert "pytest" not in caught.value.what
    assert "pip install" in caught.value.now


def test_a_requirement_for_another_system_is_not_asked_for() -> None:
    check_requires(["no-such-thing-here; sys_platform == 'plan9'"], "tools/act@1.0.0")


def test_a_requirement_that_is_none_is_refused() -> None:
    with pytest.raises(Invalid, match="no requirement"):
        check_requires(["httpx >"], "tools/act@1.0.0")


@pytest.mark.parametrize(
    ("source", "is_async"),
    [
        (ACT, True),
        ("def act(arguments, ctx):\n    return {}\n", False),
        ("async def other(): ...\ndef act(arguments, ctx): return {}\n", False),
        ("class Act:\n    async def act(self): ...\ndef act(a, c): return {}\n", False),
    ],
)
def test_async_stands_in_the_source(bench: Any, source: str, is_async: bool) -> None:
    assert load_code(bench.tool(source), bench.cache, bench.blobs.__getitem__).is_async is is_async


def test_a_module_that_is_not_there_or_no_python_is_said(bench: Any) -> None:
    with pytest.raises(Invalid, match=r"there is no search\.py"):
        load_code(bench.tool(ACT, entry="search:act"), bench.cache, bench.blobs.__getitem__)
    with pytest.raises(ToolFailed, match="no Python"):
        load_code(bench.tool("def act(:\n"), bench.cache, bench.blobs.__getitem__)


def test_siblings_are_found_in_the_package_and_never_by_sys_path(bench: Any) -> None:
    tool = bench.tool(
        {"tool.py": "from . import words\nasync def act(a, c): return {'w': words.W}\n", "words.py": "W = 1\n"}
    )
    code = load_code(tool, bench.cache, bench.blobs.__getitem__)
    before = list(sys.path)
    function = import_entry(code.folder, code.package, code.entry)
    assert function.__module__ == f"{code.package}.tool"
    assert sys.path == before
    assert "words" not in sys.modules
    assert sys.modules[f"{code.package}.words"].W == 1
    forget(code.package)
    assert not any(name.startswith(code.package) for name in sys.modules)


def test_byte_code_is_neither_read_nor_written(bench: Any) -> None:
    code = load_code(bench.tool(ACT), bench.cache, bench.blobs.__getitem__)
    import_entry(code.folder, code.package, code.entry)
    assert [place.name for place in code.folder.iterdir()] == ["tool.py"]
    forget(code.package)


def test_a_package_with_a_start_of_its_own(bench: Any) -> None:
    tool = bench.tool(
        {"__init__.py": "READY = True\n", "tool.py": "from . import READY\nasync def act(a, c): return {'r': READY}\n"}
    )
    code = load_code(tool, bench.cache, bench.blobs.__getitem__)
    assert import_entry(code.folder, code.package, code.entry).__name__ == "act"
    assert sys.modules[code.package].READY is True
    forget(code.package)


def test_an_import_that_fails_leaves_nothing_behind(bench: Any) -> None:
    code = load_code(bench.tool("import no_such_module_here\n" + ACT), bench.cache, bench.blobs.__getitem__)
    with pytest.raises(ModuleNotFoundError):
        import_entry(code.folder, code.package, code.entry)
    assert not any(name.startswith(code.package) for name in sys.modules)
