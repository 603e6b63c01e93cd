"""Public functions explain their arguments, and state the shapes of their tensors."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARRAYS = re.compile(r"\b(Tensor|ndarray|ArrayLike|Array|Pixels|UInt8Image|Floats|Ints)\b")
# (B, D), (N,), (B, C, h, w), (*shape) and the like
SHAPE = re.compile(r"\((?:[A-Z]\w*'?|\d|\.\.\.|\*?[a-z_]+)(?:, ?[\w.*+ /<>=-]+)*,?\)")
# Methods of these classes implement a documented method of the base that they point to.
BASES = {"Attack", "Objective", "Augmentation", "PlanSampler", "Loss"}
IMPLEMENTED = {"__call__", "apply", "on_cpu", "draw", "plan", "forward"}
BALLS = {"Linf", "L2"}


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__call__"


def public_functions() -> Iterator[tuple[str, ast.FunctionDef, ast.ClassDef | None]]:
    for path in sorted((ROOT / "reid").rglob("*.py")):
        if path.name.startswith("_"):
            continue
        where = str(path.relative_to(ROOT))
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and is_public(node.name):
                yield f"{where}: {node.name}", node, None
            if isinstance(node, ast.ClassDef) and is_public(node.name):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and is_public(method.name):
                        yield f"{where}: {node.name}.{method.name}", method, node


def parameters(function: ast.FunctionDef) -> list[str]:
    args = function.args
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def implements(function: ast.FunctionDef, owner: ast.ClassDef | None) -> bool:
    if owner is None:
        return False
    bases = {ast.unparse(base) for base in owner.bases}
    return owner.name in BALLS or (bool(bases & BASES) and function.name in IMPLEMENTED)


def explains(doc: str, name: str) -> bool:
    return re.search(rf"^ *{name}\b[^:\n]*: \S", doc, re.MULTILINE) is not None


def test_a_function_with_two_or_more_parameters_explains_each() -> None:
    silent = []
    for where, function, owner in public_functions():
        names, doc = parameters(function), ast.get_docstring(function) or ""
        if len(names) < 2 or implements(function, owner):
            continue
        if "Args:" not in doc or not all(explains(doc, name) for name in names):
            silent.append(where)
    assert silent == []


def test_functions_of_arrays_state_shapes() -> None:
    found = []
    for where, function, _ in public_functions():
        hints = [a.annotation for a in (*function.args.args, *function.args.kwonlyargs)]
        text = " ".join(ast.unparse(hint) for hint in (*hints, function.returns) if hint)
        if ARRAYS.search(text):
            found.append((bool(SHAPE.search(ast.get_docstring(function) or "")), where))
    stated = [shape for shape, _ in found]
    assert len(found) > 150
    assert sum(stated) >= 0.9 * len(stated), [where for shape, where in found if not shape]
