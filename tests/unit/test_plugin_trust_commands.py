"""With a plugin installed that breaks the contract in any way, the commands work on all that is not its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from attrs import evolve

from tests.support.counted import Counted, plain
from tests.support.odd_target import FAILING, UNUSABLE, WRITING, Odd
from tests.unit.test_registry import distribution
from vmgr.cli.main import main
from vmgr.core.ids import Uuid, VgName
from vmgr.doctor import plugins as doctor
from vmgr.doctor.finding import PROBLEM

WORDS = {**UNUSABLE, **FAILING, **{f"it writes {what}": plugin for what, (plugin, _) in WRITING.items()}}


class Site:
    """A folder with one distribution, whose plugin can be exchanged."""

    def __init__(self) -> None:
        self.module = ModuleType("vmgr_odd_module")

    def install(self, plugin: object) -> None:
        self.module.PLUGIN = plugin  # type: ignore[attr-defined]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    distribution(tmp_path / "site", "vmgr_odd", "[vmgr.targets]\nodd-entry = vmgr_odd_module:PLUGIN\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    made = Site()
    made.install(Odd())
    monkeypatch.setitem(sys.modules, "vmgr_odd_module", made.module)
    return made


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site) -> Iterator[Counted]:
    """A group ``vg`` with a plain volume and one of the type odd, active, and a group ``other``."""
    (tmp_path / "machine").mkdir()
    (_, second) = plain(0).pvs
    other = evolve(plain(0, 1), id=Uuid(f"{8:032d}"), name=VgName("other"), pvs=(second,))
    made = Counted(monkeypatch, tmp_path / "machine", plain(1, 1), other)
    made.run("lvcreate", "-y", "-Zn", "-Wn", "--type", "odd", "-l4", "-n", "strange", "vg")
    made.run("lvcreate", "-y", "-Zn", "-Wn", "-an", "-l4", "-n", "mine", "other")
    return made


@pytest.mark.parametrize("what", WORDS)
def test_commands_work_beside_it(
    what: str, machine: Counted, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reports and changes of other types and groups succeed, with at most one warning each, which names it."""
    site.install(WORDS[what])
    for words in (
        ("pvs",),
        ("vgs",),
        ("lvs", "-a", "-o+lv_all"),
        ("lvs", "-a", "--segments", "-o+seg_all"),
        ("lvcreate", "-y", "-Zn", "-Wn", "-an", "--type", "linear", "-l4", "-n", "new", "other"),
        ("lvcreate", "-y", "-Zn", "-Wn", "-an", "-s", "-l2", "-n", "snap", "other/mine"),
        ("lvextend", "-y", "-l+2", "other/new"),
        ("lvremove", "-y", "other/snap", "other/new"),
        ("lvchange", "-ay", "other/mine"),
        ("lvchange", "-an", "other/mine"),
        ("vgchange", "-ay", "other"),
        ("segtypes",),
    ):
        capsys.readouterr()
        machine.run(*words)
        said = capsys.readouterr().err
        told = [line for line in said.splitlines() if "WARNING: target plugin" in line]
        assert len(told) <= 1, said
        assert all("'odd-entry' (" in line and "vmgr_odd-1.0)" in line for line in told)
        assert bool(told) or what not in UNUSABLE


@pytest.mark.parametrize("what", WORDS)
def test_its_own_group_is_never_harmed(
    what: str, machine: Counted, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """What needs the plugin is refused by name, and is no bug in vmgr; the right plugin finds all as it was."""
    site.install(WORDS[what])
    for words in (
        ("vgck", "vg"),
        ("lvcreate", "-y", "-Zn", "-Wn", "-an", "-l4", "-n", "beside", "vg"),
        ("lvcreate", "-y", "-Zn", "-Wn", "-an", "--type", "odd", "-l4", "-n", "second", "vg"),
        ("lvextend", "-y", "-l+2", "vg/strange"),
        ("lvreduce", "-y", "-l-1", "vg/strange"),
        ("lvrename", "vg", "strange", "stranger"),
        ("lvrename", "vg", "stranger", "strange"),
        ("lvchange", "-an", "vg/strange"),
        ("lvchange", "-ay", "vg/strange"),
        ("vgchange", "-ay", "vg"),
    ):
        capsys.readouterr()
        status = main(["vmgr", *words])
        said = capsys.readouterr().err
        assert "internal error" not in said
        assert "bug" not in said.replace("this is a fault in vmgr or in a plugin", "")
        assert status in (0, 3, 5), said
    if what != "it writes what it reads otherwise":  # what it reads is then another group, which breaks rules
        assert "vg-lv0" in {device.name for device in machine._client.devices()}
    site.install(Odd())
    capsys.readouterr()
    machine.run("lvs", "--noheadings", "-o", "lv_name,lv_layout", "vg/strange")
    assert capsys.readouterr().err == ""
    machine.run("vgck", "vg")


@pytest.mark.parametrize("what", UNUSABLE)
def test_the_doctor_says_what_is_wrong_and_what_to_do(what: str, site: Site) -> None:
    site.install(UNUSABLE[what])
    (broken,) = [plugin for plugin in doctor.gather() if plugin.info is None]
    assert (broken.name, broken.distribution) == ("odd-entry", "vmgr_odd-1.0")
    from tests.unit.test_doctor_kernel import facts

    finding = doctor.check((broken,), facts(), {})[0]
    assert (finding.id, finding.state) == ("plugins.unusable", PROBLEM)
    assert "'odd-entry' (from vmgr_odd-1.0)" in finding.text
    assert finding.remedy
