"""The tail is guarded: no function, file or signature outgrows what a reader can hold in mind."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

FUNCTION_LINES = 50
FILE_LINES = 400
PARAMETERS = 6

# What is over a bound today; this list may only shrink.
EXCEPTIONS: frozenset[str] = frozenset()


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = [*function.args.posonlyargs, *function.args.args]
    return sum(argument.arg not in {"self", "cls"} for argument in arguments)


def test_no_function_or_file_is_too_long() -> None:
    over = set()
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        if len(path.read_text("utf-8").splitlines()) > FILE_LINES:
            over.add(place)
        for function in functions(path):
            assert function.end_lineno is not None
            if function.end_lineno - function.lineno + 1 > FUNCTION_LINES:
                over.add(f"{place}:{function.name}")
    assert over == EXCEPTIONS


def test_no_function_takes_too_many_positional_parameters() -> None:
    over = {
        f"{path.relative_to(ROOT).as_posix()}:{function.name}"
        for path in SOURCES
        if "cli" not in path.parts  # a command's options are its interface
        for function in functions(path)
        if parameters(function) > PARAMETERS
    }
    assert over == set()


def test_folders_of_content_are_not_packages() -> None:
    content = ("registry_repo", "pipelines", "evals", "datasets", "contract_suites", "runtimes", "reports")
    packages = [file for folder in content for file in (ROOT / folder).rglob("__init__.py")]
    assert all((ROOT / folder).is_dir() for folder in content)
    assert packages == []


def test_names_of_modules_say_something() -> None:
    empty = {"utils", "util", "helpers", "helper", "manager", "service", "base", "common", "misc"}
    assert [path for path in SOURCES if path.stem in empty or path.parent.name in empty] == []


def test_public_names_are_few() -> None:
    import penstock

    assert len([name for name in vars(penstock) if not name.startswith("_")]) <= 30
