# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Negate every condition of the topology's decision, one at a time, and see that a table test fails each time.

Run from the root of the repository: python tests/mutations.py. The exit status says whether a negation survived.
Each negation is made in the syntax tree, and the tests run in this process: a pytest run each would take minutes.
"""

from __future__ import annotations

import ast
import copy
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "tests" / "unit"
PACKAGE = "ansible_collections.steadfast.postgresql.plugins.module_utils"
# In the order of their imports: a negation in one reaches those behind it.
MODULES = (
    "_members",
    "_synchronous",
    "_record",
    "_observation",
    "_picture",
    "_primary",
    "_refusals",
    "_findings",
    "_standbys",
    "_slots",
    "_durability",
    "_topology",
)
HELPERS = ("situations",)
TESTS = (
    "test_topology_hosts",
    "test_topology_replication",
    "test_topology_refusals",
    "test_topology",
    "test_topology_new",
    "test_topology_machines",
    "test_members",
    "test_observation",
    "test_synchronous",
    "test_record",
)


@dataclass(frozen=True)
class Negation:
    """One condition, negated, in one module."""

    module: str
    line: int
    condition: str
    tree: ast.Module


def conditions(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what decides: tests of branches and comprehensions, comparisons, operands of and, or, not."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.IfExp, ast.While)):
            yield node.test
        elif isinstance(node, ast.comprehension):
            yield from node.ifs
        elif isinstance(node, ast.Compare):
            yield node
        elif isinstance(node, ast.BoolOp):
            # A constant is a default value, not a condition.
            yield from (operand for operand in node.values if not isinstance(operand, ast.Constant))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node.operand


class _Negate(ast.NodeTransformer):
    def __init__(self, target: tuple[int, ...]) -> None:
        self.target = target

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and span(node) == self.target:
            return ast.copy_location(ast.UnaryOp(ast.Not(), node), node)
        return self.generic_visit(node)


def span(node: ast.expr) -> tuple[int, ...]:
    """Return where an expression stands."""
    return (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


def negations(module: str) -> Iterator[Negation]:
    """Yield the module once for each of its conditions."""
    source = (ROOT / "plugins" / "module_utils" / f"{module}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    found = {span(node): node for node in conditions(tree)}
    for target, node in sorted(found.items()):
        negated = _Negate(target).visit(copy.deepcopy(tree))
        assert isinstance(negated, ast.Module)
        yield Negation(module, node.lineno, ast.unparse(node), ast.fix_missing_locations(negated))


def compiled(folder: Path, names: tuple[str, ...]) -> dict[str, CodeType]:
    """Compile files once: they run again for each negation."""
    paths = {name: folder / f"{name}.py" for name in names}
    return {name: compile(path.read_text(encoding="utf-8"), str(path), "exec") for name, path in paths.items()}


def execute(name: str, code: CodeType) -> ModuleType:
    """Run a module anew under its name, so that what imports it from now on gets this one."""
    module = ModuleType(name)
    sys.modules[name] = module
    exec(code, module.__dict__)
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, module)
    return module


def rows(test: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """Yield the arguments of each row of a test's one table; none at all for a test without one."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    if not marks:
        yield {}
        return
    (mark,) = marks
    names, table = mark.args
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    for row in table:
        yield dict(zip(names, [row] if len(names) == 1 else row, strict=True))


def passes(module: ModuleType) -> bool:
    """Whether every row of every test of a module passes."""
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    try:
        for test in tests:
            for arguments in rows(test):
                test(**arguments)
    except Exception:  # noqa: BLE001 - whatever goes wrong, it is noticed
        return False
    return True


def survives(modules: dict[str, CodeType], tests: dict[str, CodeType]) -> bool:
    """Whether all tests pass with these modules in place."""
    try:
        for name, code in modules.items():
            execute(f"{PACKAGE}.{name}", code)
        for name in HELPERS:
            execute(name, tests[name])
        return all(passes(execute(name, tests[name])) for name in TESTS)
    except Exception:  # noqa: BLE001 - whatever goes wrong, it is noticed
        return False


def main() -> int:
    """Report the negations that no test notices."""
    sys.path[:0] = [str(ROOT / ".ansible" / "collections"), str(UNIT)]
    importlib.import_module(PACKAGE)
    modules = compiled(ROOT / "plugins" / "module_utils", MODULES)
    tests = compiled(UNIT, (*HELPERS, *TESTS))
    if not survives(modules, tests):
        sys.stdout.write("the tests fail without any negation: run pytest tests/unit first\n")
        return 1
    every = [negation for module in MODULES for negation in negations(module)]
    survivors = [
        negation
        for negation in every
        if survives(modules | {negation.module: compile(negation.tree, negation.module, "exec")}, tests)
    ]
    for negation in survivors:
        sys.stdout.write(f"plugins/module_utils/{negation.module}.py:{negation.line}: not ({negation.condition})\n")
    sys.stdout.write(f"{len(every)} conditions negated, {len(survivors)} of them unnoticed\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
