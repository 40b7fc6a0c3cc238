"""vmgr where every user can read it: tests that run it as somebody else must not rest on where the checkout lies.

A checkout below /root, or in a home that only its owner may enter, is where most people have one.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import site
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ("attr", "attrs", "click", "pluggy", "pyudev", "vmgr")
"""What vmgr needs to run, and vmgr."""

_START = """\
import sys
sys.path.insert(0, {place!r})
"""

_VMGR = "from vmgr.cli.main import main\nmain()\n"


@functools.cache
def place() -> str:
    """A directory that anyone can read, with vmgr and what it imports; gone when this process ends."""
    path = tempfile.mkdtemp(prefix="vmgr-public-", dir="/run" if os.environ.get("VMGR_LAB") else "/tmp")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    os.chmod(path, 0o755)
    for source in (*map(Path, site.getsitepackages()), *map(Path, sys.path), ROOT):
        for found in source.glob("*"):
            name = found.name.split("-")[0]
            here = found.suffix == ".dist-info" or found.is_dir()
            if name in PACKAGES and here and not os.path.exists(f"{path}/{found.name}"):
                shutil.copytree(found, f"{path}/{found.name}", ignore=shutil.ignore_patterns("__pycache__"))
    Path(path, "vmgr.py").unlink(missing_ok=True)
    Path(path, "bin").mkdir()
    Path(path, "bin", "vmgr").write_text(_START.format(place=path) + _VMGR)
    for folder, _, files in os.walk(path):
        os.chmod(folder, 0o755)
        for file in files:
            os.chmod(os.path.join(folder, file), 0o644)
    return path


def interpreter() -> str:
    """The Python that other users can run. Skips the test where there is none."""
    path = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    folder = path
    while folder != "/":
        if not os.stat(folder).st_mode & 0o001:
            pytest.skip(f"expected: this Python lies in {folder}, where other users may not go")
        folder = os.path.dirname(folder)
    return path


def program() -> list[str]:
    """The words that run vmgr as whoever calls them."""
    return [interpreter(), "-I", "-S", f"{place()}/bin/vmgr"]


def code(text: str) -> list[str]:
    """The words that run this Python text, with vmgr at hand, as whoever calls them."""
    return [interpreter(), "-I", "-S", "-c", _START.format(place=place()) + text]
