"""What authors of plugins begin with: one import, a package that works, and the command that checks it."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

import vmgr.plugin
from tests.support.odd_target import Odd, raising
from tests.unit.test_plugin_trust import OWN
from tests.unit.test_registry import distribution
from vmgr.cli.main import main
from vmgr.core.errors import AlreadyExists, InvalidName
from vmgr.core.targets import Targets
from vmgr.testing.checks import PASSED, check_plugin
from vmgr.testing.scaffold import files, make


def test_every_name_of_the_one_import_is_there() -> None:
    for name in dir(vmgr.plugin):
        assert getattr(vmgr.plugin, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vmgr.plugin.nothing  # type: ignore[attr-defined]


def test_a_type_checker_sees_the_same_names() -> None:
    tree = ast.parse(Path(vmgr.plugin.__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == set(dir(vmgr.plugin))


def test_a_new_plugin_passes_its_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make("brand-new", tmp_path)
    monkeypatch.syspath_prepend(str(place / "src"))
    module = importlib.import_module("vmgr_brand_new")
    monkeypatch.delitem(sys.modules, "vmgr_brand_new")
    targets = Targets([*OWN, ("brand-new", module)], {"brand-new": "vmgr_brand_new-0.1.0"})
    assert {result.outcome for result in check_plugin(targets, "brand-new")} == {PASSED}
    assert 'brand-new = "vmgr_brand_new"' in (place / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize("name", ["", "New", "a_b", "a--b", "-a", "a/b", "1a", "../x"])
def test_a_name_that_no_package_may_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidName):
        make(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "vmgr-new").mkdir()
    with pytest.raises(AlreadyExists):
        make("new", tmp_path)
    assert list((tmp_path / "vmgr-new").iterdir()) == []


def test_the_new_files_are_python() -> None:
    for path, text in files("new").items():
        if path.endswith(".py"):
            ast.parse(text)


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A stranger's plugin is installed: a module whose ``PLUGIN`` it is."""
    from types import ModuleType

    module = ModuleType("vmgr_odd_module")
    distribution(tmp_path, "vmgr_odd", "[vmgr.targets]\nodd-entry = vmgr_odd_module:PLUGIN\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "vmgr_odd_module", module)
    return module


def test_the_command_begins_a_plugin(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["vmgr", "plugins", "--new", "marvel"]) == 0
    assert "vmgr plugins --check marvel" in capsys.readouterr().err
    assert (tmp_path / "vmgr-marvel/src/vmgr_marvel/__init__.py").exists()
    assert main(["vmgr", "plugins", "--new", "marvel"]) == 5
    assert "exists" in capsys.readouterr().err


def test_the_command_prints_what_its_checks_find(odd, capsys) -> None:
    odd.PLUGIN = Odd()
    assert main(["vmgr", "plugins", "--check", "odd"]) == 5
    out = capsys.readouterr().out
    assert "odd: failed  the declaration says all that a user needs: TargetInfo lacks manual" in out
    assert "odd: ok      odd: survives a kill and a power cut at every step" in out
    assert main(["vmgr", "plugins", "--check", "error"]) == 0


def test_the_command_says_why_a_plugin_is_left_out(odd, capsys) -> None:
    odd.PLUGIN = raising("target_info")
    assert main(["vmgr", "plugins", "odd-entry"]) == 5
    assert "its hook target_info raised KeyError" in capsys.readouterr().err
    assert main(["vmgr", "plugins", "--reportformat", "json"]) == 0
    assert '"left_out"' in capsys.readouterr().out


def test_the_command_prints_a_plugins_manual(capsys) -> None:
    assert main(["vmgr", "plugins", "snapshot"]) == 0
    assert "lvconvert --merge puts a snapshot's content back" in capsys.readouterr().out
