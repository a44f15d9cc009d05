"""The signature of an own scorer, read from its source: its kind, and the parameters that a suite may set."""

import ast
import inspect
from dataclasses import dataclass
from typing import Any, Literal, Union

from penstock.errors import Fault, Invalid
from penstock.scoring.scorer import Kind

KINDS: dict[str, Kind] = {"bool": "assertion", "float": "score", "str": "label"}
PLAIN: dict[str, Any] = {"bool": bool, "int": int, "float": float, "str": str, "list": list, "dict": dict, "Any": Any}
HOW = "def score(case, trial, *, limit: float = 0.5) -> bool:  # or float (0 to 1), or str (a word)"


@dataclass(frozen=True, slots=True)
class OwnParameter:
    """One keyword-only parameter: its name, its type, and whether the suite must set it."""

    name: str
    annotation: Any
    is_required: bool


@dataclass(frozen=True, slots=True)
class OwnSignature:
    """What an own scorer returns and takes."""

    kind: Kind
    parameters: tuple[OwnParameter, ...]

    def as_parameters(self, unset: object) -> inspect.Signature:
        """The signature of a stand-in; `unset` is the default of what the suite need not say."""
        only = inspect.Parameter.KEYWORD_ONLY
        made = [inspect.Parameter("scored", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        for one in self.parameters:
            default = inspect.Parameter.empty if one.is_required else unset
            made.append(inspect.Parameter(one.name, only, default=default, annotation=one.annotation))
        return inspect.Signature(made)


def read_signature(tree: ast.Module, name: str, path: str) -> OwnSignature:
    """The signature of the function `name`; raises `Invalid` with every fault at its line."""
    found = [one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == name]
    if not found:
        raise _invalid(path, [Fault(path, 1, 1, "", f"defines no function `{name}`", HOW)])
    function = found[-1]  # the last one is the one that stays
    faults = _shape_faults(function, path)
    returned = function.returns.id if isinstance(function.returns, ast.Name) else None
    if returned not in KINDS:
        faults.append(_fault(path, function, f"`{name}` does not say whether it returns bool, float or str", HOW))
    if faults or returned is None:
        raise _invalid(path, faults)
    return OwnSignature(KINDS[returned], tuple(_parameters(function)))


def _shape_faults(function: ast.FunctionDef | ast.AsyncFunctionDef, path: str) -> list[Fault]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    faults = []
    if len(positional) != 2 or arguments.vararg is not None or arguments.defaults:
        faults.append(_fault(path, function, f"`{function.name}` takes exactly case and trial by position", HOW))
    if arguments.kwarg is not None:
        what = f"**{arguments.kwarg.arg} hides which parameters a suite may set"
        faults.append(_fault(path, arguments.kwarg, what, f"name each after a star: {HOW}"))
    return faults


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[OwnParameter]:
    arguments = function.args
    return [
        OwnParameter(one.arg, _type_of(one.annotation), default is None)
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]


def _type_of(annotation: ast.expr | None) -> Any:
    """The type that an annotation names; Any for what is not known here, which is then not checked."""
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return None
    if isinstance(annotation, ast.Name):
        return PLAIN.get(annotation.id, Any)
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return Union[_type_of(annotation.left), _type_of(annotation.right)]  # noqa: UP007 - made at run time
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
        return _generic(annotation.value.id, annotation.slice)
    return Any


def _generic(name: str, inside: ast.expr) -> Any:
    parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    if name == "Literal" and all(isinstance(part, ast.Constant) for part in parts):
        return Literal[tuple(part.value for part in parts if isinstance(part, ast.Constant))]
    if name == "Optional":
        return Union[_type_of(parts[0]), None]  # noqa: UP007 - made at run time
    if name == "list":
        return list[_type_of(parts[0])]  # type: ignore[misc]
    if name == "dict" and len(parts) == 2:
        return dict[str, _type_of(parts[1])]  # type: ignore[misc]
    return Any


def _fault(path: str, node: ast.stmt | ast.arg, what: str, hint: str) -> Fault:
    return Fault(path, node.lineno, node.col_offset + 1, "", what, hint)


def _invalid(path: str, faults: list[Fault]) -> Invalid:
    return Invalid("the scorer cannot be used", where=path, now="mend the file", faults=faults)
