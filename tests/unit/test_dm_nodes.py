"""Nodes, links, the control node and numbers from /proc, in directories of the test's own."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from vmgr.core.errors import KernelError, NotPermitted
from vmgr.dm import control
from vmgr.dm.failure import NodeError, NoDeviceMapper
from vmgr.dm.nodes import Nodes, set_read_ahead


def can_make_nodes() -> bool:
    path = f"/dev/shm/vmgr-node-{os.getpid()}"
    try:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(254, 255))
    except OSError:
        return False
    os.unlink(path)
    return True


makes_nodes = pytest.mark.skipif(not can_make_nodes(), reason="expected: device nodes are made by root only")


@pytest.fixture
def nodes(tmp_path: Path) -> Nodes:
    return Nodes(str(tmp_path), gid=os.getgid(), uid=os.getuid())


@makes_nodes
def test_a_node_has_numbers_and_mode(nodes: Nodes) -> None:
    assert nodes.add("a", 254, 7)
    found = os.stat(nodes.path("a"))
    assert stat.S_ISBLK(found.st_mode)
    assert found.st_rdev == os.makedev(254, 7)
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert nodes.right("a", 254, 7)
    assert not nodes.add("a", 254, 7), "nothing had to be done"
    assert os.listdir(nodes.mapper_dir) == ["a"]


@makes_nodes
def test_the_process_s_umask_does_not_count(nodes: Nodes) -> None:
    old = os.umask(0o077)
    try:
        nodes.add("a", 254, 7)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(nodes.path("a")).st_mode) == 0o660


@makes_nodes
def test_a_wrong_node_is_replaced(nodes: Nodes) -> None:
    nodes.add("a", 254, 7)
    assert not nodes.right("a", 254, 8)
    assert nodes.add("a", 254, 8)
    assert nodes.right("a", 254, 8)


@makes_nodes
def test_a_dangling_link_in_a_node_s_place_is_replaced(nodes: Nodes) -> None:
    """What udev leaves when it was stopped between the kernel's removal and its own."""
    os.makedirs(nodes.mapper_dir)
    os.symlink("../dm-7", nodes.path("a"))
    assert nodes.add("a", 254, 7)
    assert nodes.right("a", 254, 7)


def test_a_file_in_a_node_s_place_is_not_touched(nodes: Nodes) -> None:
    os.makedirs(nodes.mapper_dir)
    Path(nodes.path("a")).write_text("precious")
    with pytest.raises(NodeError, match="is not a device node"):
        nodes.add("a", 254, 7)
    with pytest.raises(NodeError, match="is not a device node"):
        nodes.remove("a")
    assert Path(nodes.path("a")).read_text() == "precious"


@makes_nodes
def test_a_removed_node_is_gone(nodes: Nodes) -> None:
    nodes.add("a", 254, 7)
    assert nodes.remove("a")
    assert not nodes.remove("a")
    assert os.listdir(nodes.mapper_dir) == []


def test_on_a_read_only_file_system_a_node_that_is_not_there_need_not_be_removed(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says that the file system is read-only before it looks for the name."""

    def unlink(path: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "unlink", unlink)
    assert not nodes.remove("a")
    os.mkdir(nodes.mapper_dir)
    os.symlink("/nowhere", nodes.path("a"))
    with pytest.raises(NodeError, match="Read-only"):
        nodes.remove("a")


@makes_nodes
def test_a_renamed_node_keeps_what_it_has(nodes: Nodes) -> None:
    nodes.add("a", 254, 7)
    os.chmod(nodes.path("a"), 0o600)
    assert nodes.has("a")
    assert not nodes.move("a", "b", 254, 8), "it is another device's"
    assert nodes.move("a", "b", 254, 7)
    assert stat.S_IMODE(os.stat(nodes.path("b")).st_mode) == 0o600
    assert not nodes.has("a")
    assert not nodes.move("a", "b", 254, 7)


@makes_nodes
def test_a_file_in_the_new_node_s_place_is_not_touched(nodes: Nodes) -> None:
    nodes.add("a", 254, 7)
    Path(nodes.path("b")).write_text("precious")
    with pytest.raises(NodeError, match="is not a device node"):
        nodes.move("a", "b", 254, 7)
    assert Path(nodes.path("b")).read_text() == "precious"


@makes_nodes
def test_a_link_leads_to_the_node(nodes: Nodes) -> None:
    nodes.add("vg-lv", 254, 7)
    assert nodes.link("vg", "lv", "vg-lv")
    assert os.readlink(nodes.link_path("vg", "lv")) == nodes.path("vg-lv")
    assert nodes.link_right("vg", "lv", 254, 7)
    assert not nodes.link("vg", "lv", "vg-lv"), "nothing had to be done"


@makes_nodes
def test_a_link_to_another_device_is_replaced(nodes: Nodes) -> None:
    nodes.add("vg-lv", 254, 7)
    nodes.add("vg-old", 254, 8)
    nodes.link("vg", "lv", "vg-old")
    assert nodes.link("vg", "lv", "vg-lv")
    assert nodes.link_right("vg", "lv", 254, 7)


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_is_no_link_in_a_link_s_place_is_not_touched(nodes: Nodes, kind: str) -> None:
    path = Path(nodes.link_path("vg", "lv"))
    if kind == "file":
        path.parent.mkdir()
        path.write_text("precious")
    else:
        (path / "precious").mkdir(parents=True)
    with pytest.raises(NodeError, match="in the way"):
        nodes.link("vg", "lv", "vg-lv")
    assert not nodes.unlink("vg", "lv", "vg-lv", 254, 7)
    assert path.exists()


@makes_nodes
def test_the_last_link_takes_its_directory_along(nodes: Nodes) -> None:
    nodes.add("vg-a", 254, 7)
    nodes.add("vg-b", 254, 8)
    nodes.link("vg", "a", "vg-a")
    nodes.link("vg", "b", "vg-b")
    assert nodes.unlink("vg", "a", "vg-a", 254, 7)
    assert os.listdir(os.path.dirname(nodes.link_path("vg", "b"))) == ["b"]
    assert nodes.unlink("vg", "b", "vg-b", 254, 8)
    assert not os.path.exists(os.path.dirname(nodes.link_path("vg", "b")))
    assert not nodes.unlink("vg", "b", "vg-b", 254, 8)


@makes_nodes
def test_a_link_that_leads_to_another_device_by_now_stays(nodes: Nodes, tmp_path: Path) -> None:
    """Someone made a volume of the same name meanwhile: its link is not ours to remove."""
    nodes.add("other", 254, 9)
    nodes.link("vg", "lv", "other")
    assert not nodes.unlink("vg", "lv", "vg-lv", 254, 7)
    assert nodes.link_right("vg", "lv", 254, 9)


def test_a_dangling_link_is_removed(nodes: Nodes) -> None:
    path = Path(nodes.link_path("vg", "lv"))
    path.parent.mkdir()
    path.symlink_to("../dm-7")
    assert nodes.unlink("vg", "lv", "vg-lv", 254, 7)
    assert not path.parent.exists()


def test_a_directory_that_cannot_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "mapper").write_text("")
    with pytest.raises(NodeError, match="cannot make the node"):
        Nodes(str(tmp_path), gid=0).add("a", 254, 7)


# -- read-ahead ----------------------------------------------------------------------------------------


def read_ahead_file(tmp_path: Path, kib: int) -> Path:
    path = tmp_path / "dev/block/254:7/bdi/read_ahead_kb"
    path.parent.mkdir(parents=True)
    path.write_text(f"{kib}\n")
    return path


@pytest.mark.parametrize(
    ("before", "sectors", "at_least", "after"),
    [(128, 512, False, 256), (128, 5, False, 3), (128, 0, False, 0), (128, 512, True, 256), (256, 256, True, 256)],
)
def test_read_ahead_is_kept_in_kib_rounded_up(
    tmp_path: Path, before: int, sectors: int, at_least: bool, after: int
) -> None:
    path = read_ahead_file(tmp_path, before)
    set_read_ahead(254, 7, sectors, at_least=at_least, sysfs=str(tmp_path))
    assert path.read_text().startswith(str(after))


def test_read_ahead_of_a_missing_device_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="254:7"):
        set_read_ahead(254, 7, 8, sysfs=str(tmp_path))


# -- the control node ----------------------------------------------------------------------------------

DEVICES = """\
Character devices:
  1 mem
 10 misc
253 device-mapper

Block devices:
  7 loop
254 device-mapper
259 blkext
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    path = tmp_path / "proc"
    path.mkdir()
    (path / "devices").write_text(DEVICES)
    (path / "misc").write_text("236 device-mapper\n 59 memory_bandwidth\n")
    return path


def test_numbers_come_from_proc(proc: Path) -> None:
    """As the installation guide of 2003 has it: the major of misc, the minor of device-mapper."""
    assert control.control_numbers(str(proc)) == (10, 236)
    assert control.block_major(str(proc)) == 254
    (proc / "misc").write_text("63 device-mapper\n")
    assert control.control_numbers(str(proc)) == (10, 63)


def test_well_known_numbers_serve_before_the_module_is_loaded(tmp_path: Path) -> None:
    assert control.control_numbers(str(tmp_path)) == (10, 236)


def test_no_block_major_means_no_device_mapper(proc: Path) -> None:
    (proc / "devices").write_text(DEVICES.replace("254 device-mapper\n", ""))
    with pytest.raises(NoDeviceMapper) as caught:
        control.block_major(str(proc))
    assert "modprobe dm-mod" in caught.value.hint
    assert "vmgr lab" in caught.value.hint


@makes_nodes
def test_a_missing_control_node_is_made(tmp_path: Path) -> None:
    path = control.control_path(str(tmp_path))
    control._make_right(path, (10, 236))
    found = os.stat(path)
    assert stat.S_ISCHR(found.st_mode)
    assert found.st_rdev == os.makedev(10, 236)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert os.listdir(tmp_path / "mapper") == ["control"]


@makes_nodes
@pytest.mark.parametrize("kind", ["file", "other numbers", "block", "dangling link"])
def test_a_wrong_control_node_is_replaced(tmp_path: Path, kind: str) -> None:
    path = control.control_path(str(tmp_path))
    os.mkdir(tmp_path / "mapper")
    if kind == "file":
        Path(path).write_text("")
    elif kind == "dangling link":
        os.symlink("nowhere", path)
    elif kind == "block":
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(10, 236))
    else:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(10, 1))
    control._make_right(path, (10, 236))
    found = os.stat(path)
    assert stat.S_ISCHR(found.st_mode)
    assert found.st_rdev == os.makedev(10, 236)


def test_a_directory_in_its_place_is_not_touched(tmp_path: Path) -> None:
    os.makedirs(control.control_path(str(tmp_path)))
    with pytest.raises(KernelError, match="is a directory"):
        control.open_control(str(tmp_path))


def test_no_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(control, "_make_right", lambda *_: None)
    monkeypatch.setattr(control.os, "open", refuse)
    with pytest.raises(NotPermitted) as caught:
        control.open_control(str(tmp_path))
    assert "permission denied" in caught.value.message
    assert "run as root" in caught.value.hint


@pytest.mark.parametrize("code", [6, 19])
def test_an_absent_device_mapper_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """ENXIO and ENODEV: nothing answers behind the node."""

    def absent(*_: object) -> int:
        raise OSError(code, "No such device")

    monkeypatch.setattr(control, "_make_right", lambda *_: None)
    monkeypatch.setattr(control, "_load_module", lambda: False)
    monkeypatch.setattr(control.os, "open", absent)
    with pytest.raises(NoDeviceMapper, match="the kernel has no device mapper"):
        control.open_control(str(tmp_path))


def test_the_module_is_loaded_when_opening_did_not_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[str] = []

    def open_(path: str, flags: int) -> int:
        attempts.append(path)
        if len(attempts) == 1:
            raise OSError(19, "No such device")
        return 99

    monkeypatch.setattr(control, "_make_right", lambda *_: None)
    monkeypatch.setattr(control, "_load_module", lambda: True)
    monkeypatch.setattr(control.os, "open", open_)
    assert control.open_control(str(tmp_path)) == 99
