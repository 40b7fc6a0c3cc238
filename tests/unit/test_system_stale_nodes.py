"""Nodes and links that a killed command left: those of this group, and none of another's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.machine import group
from vmgr.core.table import LiveDevice
from vmgr.dm.client import DmClient
from vmgr.healer import Healer
from vmgr.system import stale_nodes
from vmgr.system.stale_nodes import empty_folders, not_shown, old_links, stale, without_node
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

VG = group("vg", lvs=2)
VG = VG.with_lv(*(evolve(lv, status=("READ", "WRITE", "VISIBLE")) for lv in VG.lvs))


def device(name: str, minor: int, lv: int = 0, layer: str = "") -> LiveDevice:
    return LiveDevice(name, f"LVM-{VG.id}{VG.lvs[lv].id}{layer}", 254, minor)


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device directory whose "nodes" are files that hold their minor number: making real ones takes root."""

    def number(path: str) -> int | None:
        try:
            return os.makedev(254, int(Path(path).read_text()))
        except (OSError, ValueError):
            return None

    monkeypatch.setattr(stale_nodes, "_number", number)
    (tmp_path / "mapper").mkdir()
    for name, minor in (("vg-lv0", 0), ("vg-gone", 7), ("vg--x-lv0", 8), ("other-lv0", 9), ("control", 99)):
        (tmp_path / "mapper" / name).write_text(str(minor))
    for vg in ("vg", "other"):
        (tmp_path / vg).mkdir()
    link(tmp_path, "vg", "lv0", "vg-lv0")
    link(tmp_path, "vg", "gone", "vg-gone")
    link(tmp_path, "vg", "broken", "vg-broken")
    link(tmp_path, "other", "lv0", "other-lv0")
    return tmp_path


def link(dev: Path, vg: str, lv: str, name: str) -> None:
    (dev / vg / lv).symlink_to(dev / "mapper" / name)


def test_only_nodes_of_this_group_without_a_device_are_stale(dev: Path) -> None:
    nodes, links = stale(str(dev), "vg", [device("vg-lv0", 0)])
    assert nodes == ["vg-gone"]
    assert set(links) == {("vg", "gone", "vg-gone"), ("vg", "broken", "vg-broken")}


def test_a_node_under_a_device_s_old_name_is_stale(dev: Path) -> None:
    """The group was renamed: nothing in the old names says whose they are but the number."""
    live = [device("new-lv0", 9)]
    missing = without_node(str(dev), live)
    assert missing == ["new-lv0"]
    nodes, links = stale(str(dev), "new", live)
    assert nodes == ["other-lv0"]
    assert links == [("other", "lv0", "other-lv0")]


def test_links_of_a_renamed_group_s_volumes_are_found_by_the_volumes_that_have_none(dev: Path) -> None:
    (dev / "was").mkdir()
    link(dev, "was", "lv0", "was-lv0")
    link(dev, "was", "lv1", "was-lv1")
    assert old_links(str(dev), "vg", ["lv0"]) == [("was", "lv0", "was-lv0")]
    assert old_links(str(dev), "vg", []) == []
    (dev / "mapper" / "was-lv0").write_text("5")
    assert old_links(str(dev), "vg", ["lv0"]) == [], "its node is there: it is another group's"


def test_links_of_a_renamed_group_s_volumes_are_found_beside_the_new_ones(dev: Path) -> None:
    """LVM2 refreshed the group first: every volume has its link under the new name."""
    (dev / "was").mkdir()
    link(dev, "was", "lv0", "was-lv0")
    link(dev, "was", "lv7", "was-lv7")
    (dev / "was" / "x").symlink_to(dev / "nowhere")
    os.symlink(dev / "was", dev / "alias")
    assert old_links(str(dev), "vg", {"lv0", "lv1"}) == [("was", "lv0", "was-lv0")]


def test_only_directories_with_nothing_in_them_are_empty(dev: Path) -> None:
    (dev / "was").mkdir()
    (dev / "alias").symlink_to(dev / "was")
    for entry in (dev / "mapper").iterdir():
        entry.unlink()
    assert empty_folders(str(dev)) == ["was"]


def healer_of(dev: Path, live: list[LiveDevice], told: list[str], kept: Callable[[str, bool], bool]) -> Healer:
    client = DmClient(FakeKernel(), dev_dir=str(dev), nodes=FakeNodes())
    found = Healer(VG, client, str(dev), told.append, kept)
    found._live = live
    return found


@pytest.mark.parametrize("live", [True, False])
def test_an_empty_directory_goes_if_the_backup_says_that_the_group_was_called_so(dev: Path, live: bool) -> None:
    """A command killed between the last link and its directory leaves it; other empty directories stay."""
    for name in ("was", "shm"):
        (dev / name).mkdir()
    for entry in (dev / "vg").iterdir():
        entry.unlink()
    devices = [device("vg-lv0", 0)] if live else []
    told: list[str] = []
    healer_of(dev, devices, told, lambda name, archived: name == "was" and archived).repair_nodes()
    assert not (dev / "was").exists()
    assert (dev / "shm").exists()
    assert (dev / "vg").exists() == live, "udev or a command is about to make a link there"
    assert f"{dev}/was was left empty, and is removed" in told


@pytest.mark.parametrize(
    ("sign", "called"),
    [
        ("nothing", False), ("link", False), ("link and archive", True), ("archive", False), ("backup", True),
        ("empty", False), ("empty and archive", True), ("unseen", False), ("unseen and archive", True),
    ],
)  # fmt: skip
def test_what_tells_that_a_group_was_called_so(dev: Path, sign: str, called: bool) -> None:
    """A link that leads nowhere may be of any group with a volume of that name, an empty directory of any."""
    if "link" in sign or "empty" in sign:
        (dev / "was").mkdir()
    if "link" in sign:
        link(dev, "was", "lv0", "was-lv0")
    if "unseen" in sign:
        (dev / "vg" / "lv0").unlink()

    def kept(name: str, archived: bool) -> bool:
        return name == "was" and ("archive" if archived else "backup") in sign

    assert healer_of(dev, [device("vg-lv0", 0)], [], kept).was_called("was") == called
    assert not healer_of(dev, [device("vg-lv0", 0)], [], kept).was_called("never")


def test_a_device_whose_node_is_right_misses_none(dev: Path) -> None:
    assert without_node(str(dev), [device("vg-lv0", 0)]) == []
    assert without_node(str(dev), [device("vg-lv0", 1)]) == ["vg-lv0"]


def test_volumes_without_a_link_have_been_shown_to_nobody(dev: Path) -> None:
    live = [device("vg-lv0", 0), device("vg-lv1", 1, 1), device("vg-lv1-real", 2, 1, "-real")]
    assert not_shown(str(dev), VG, live) == {live[1].uuid}
    hidden = VG.with_lv(evolve(VG.lvs[1], status=("READ", "WRITE")))
    assert not_shown(str(dev), hidden, live) == set(), "a hidden volume never has a link"


def test_repairing_asks_the_kernel_what_a_name_is_now() -> None:
    kernel, nodes = FakeKernel(), FakeNodes()
    dm = DmClient(kernel, nodes=nodes)
    from vmgr.core.table import KernelLine
    from vmgr.core.units import Sectors

    dm.create("there")
    dm.load("there", [KernelLine(Sectors(0), Sectors(8), "zero", "")])
    dm.resume("there")
    nodes.nodes = {"gone": (254, 5)}
    nodes.links = {("vg", "gone"): "gone", ("vg", "there"): "there"}
    dm.repair_nodes(["there", "gone"], links=[("vg", "gone", "gone")])
    assert nodes.nodes == {"there": (254, 0)}
    assert nodes.links == {("vg", "there"): "there"}
