"""Modules that import each other in a ring, also in functions and for types only: few, each with a reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

ALLOWED = (
    {"vmgr.cli.dm.clicks", "vmgr.cli.dm.command", "vmgr.cli.dm.help", "vmgr.cli.group", "vmgr.cli.main"},
    {"vmgr.core.context", "vmgr.core.hooks"},
    {"vmgr.ondisk.codec", "vmgr.ondisk.decode", "vmgr.ondisk.encode", "vmgr.ondisk.fast"},
    {"vmgr.system.devices", "vmgr.system.udevdb"},
)
"""``docs/architecture.md`` has the reasons."""


def modules() -> dict[str, Path]:
    found = {}
    for path in (ROOT / "vmgr").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(tree: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield inner
                elif node.module in known:
                    yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules that reach each other: those that reach themselves, by what they can reach."""
    reached: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        todo = list(edges[start])
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo.extend(edges[module])
        reached[start] = seen
    found: list[set[str]] = []
    for module in sorted(edges):
        if module in reached[module]:
            circle = {other for other in reached[module] if module in reached[other]}
            if circle not in found:
                found.append(circle)
    return found


def test_a_circle_is_found() -> None:
    """The search itself: a ring of two, and what hangs on it is no part of it."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [{"b", "c"}]


def test_modules_do_not_import_each_other_in_circles() -> None:
    """No circle but those with a reason, and none of these has gone without being struck from the list."""
    known = modules()
    edges = {name: set(imports(ast.parse(path.read_text()), known)) - {name} for name, path in known.items()}
    assert sorted(map(sorted, circles(edges))) == sorted(map(sorted, ALLOWED))
