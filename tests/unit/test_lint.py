"""The linters, as tests: a change that breaks one breaks the suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=lambda command: " ".join(command),
)
def test_linter_finds_nothing(command: list[str]) -> None:
    """The tool exits with 0 on the whole tree."""
    result = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


CORE_MAY_NOT = {"os", "io", "subprocess", "socket", "fcntl", "ctypes", "time", "random", "uuid", "pyudev"}


def test_core_imports_nothing_impure() -> None:
    """No module of the core or of the on-disk format names a module that reaches outside."""
    import ast

    found = []
    for package in ("core", "ondisk"):
        for path in (ROOT / "vmgr" / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                found += [f"{path}: {name}" for name in names if name.split(".")[0] in CORE_MAY_NOT]
    assert not found
