"""``docs/library.md``: the tool that writes it, and its examples."""

from __future__ import annotations

import doctest
import importlib.util
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "library.md"
DISKS = ("/dev/sdb", "/dev/sdc")
"""The devices that the examples name, of at least 64 MiB each."""


def tool() -> ModuleType:
    """``tools/library.py`` as a module."""
    spec = importlib.util.spec_from_file_location("library", ROOT / "tools" / "library.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def examples(devices: tuple[str, str] = DISKS) -> doctest.DocTest:
    """All examples of the page, in its order, on other devices."""
    text = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for name, device in zip(DISKS, devices, strict=True):
        text = text.replace(name, device)
    return doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
