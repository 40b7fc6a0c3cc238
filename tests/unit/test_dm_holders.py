"""Who holds a device: from /proc and /sys as a test lays them out, and from this machine's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vmgr.dm.holders import Holder, holders, unescape


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    for pid, comm, namespace in (("self", "vmgr", "mnt:[1]"), ("10", "init", "mnt:[1]"), ("20", "pod", "mnt:[2]")):
        base = proc / pid
        (base / "fd").mkdir(parents=True)
        (base / "ns").mkdir()
        (base / "ns/mnt").symlink_to(namespace)
        (base / "comm").write_text(comm + "\n")
        (base / "mountinfo").write_text("")
    (proc / "swaps").write_text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")
    (sys / "dev/block").mkdir(parents=True)
    return proc, sys


def found(machine: tuple[Path, Path]) -> tuple[Holder, ...]:
    return holders(254, 3, proc=str(machine[0]), sys=str(machine[1]))


def test_nobody(machine: tuple[Path, Path]) -> None:
    assert found(machine) == ()


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    assert holders(254, 3, proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys")) == ()


def test_mounts_with_blanks_in_their_path(machine: tuple[Path, Path]) -> None:
    (machine[0] / "self/mountinfo").write_text(
        "30 1 254:3 / /mnt/my\\040data rw - ext4 /dev/mapper/vg-lv rw\n31 1 254:30 / /other rw - ext4 /dev/x rw\n"
    )
    assert found(machine) == (Holder("mount", "/mnt/my data"),)
    assert str(found(machine)[0]) == "mounted on /mnt/my data"


def test_mounts_in_another_namespace_say_where(machine: tuple[Path, Path]) -> None:
    """A container keeps a file system mounted that the host has long unmounted. Each namespace is told once."""
    text = "30 1 254:3 / /data rw - ext4 /dev/mapper/vg-lv rw\n"
    (machine[0] / "20/mountinfo").write_text(text)
    (machine[0] / "21/ns").mkdir(parents=True)
    (machine[0] / "21/ns/mnt").symlink_to("mnt:[2]")
    (machine[0] / "21/mountinfo").write_text(text)
    (holder,) = found(machine)
    assert holder.kind == "mount"
    assert "/data" in holder.what
    assert "process 20 (pod)" in holder.what


def test_devices_above(machine: tuple[Path, Path]) -> None:
    above = machine[1] / "dev/block/254:3/holders/dm-7"
    (above / "dm").mkdir(parents=True)
    (above / "dm/name").write_text("vg-snap\n")
    (above / "dev").write_text("254:7\n")
    (machine[1] / "dev/block/254:3/holders/md0").mkdir()
    (machine[1] / "dev/block/254:3/holders/md0/dev").write_text("9:0\n")
    assert found(machine) == (Holder("device", "vg-snap (dm-7, 254:7)"), Holder("device", "md0 (9:0)"))


@pytest.fixture
def node(tmp_path: Path) -> str:
    """A node of the device, in a directory with a blank in its name."""
    path = tmp_path / "my dev" / "node"
    path.parent.mkdir()
    try:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(254, 3))
    except PermissionError:
        pytest.skip("expected: device nodes are made by root only")
    return str(path)


def test_processes_that_have_it_open(machine: tuple[Path, Path], node: str) -> None:
    (machine[0] / "20/fd/3").symlink_to(node)
    (machine[0] / "20/fd/4").symlink_to(node)
    (machine[0] / "10/fd/1").symlink_to("/dev/null")
    assert found(machine) == (Holder("process", "process 20 (pod)"),)


def test_many_processes_are_counted(machine: tuple[Path, Path], node: str) -> None:
    for pid in range(100, 120):
        (machine[0] / str(pid) / "fd").mkdir(parents=True)
        (machine[0] / str(pid) / "fd/9").symlink_to(node)
    kinds = found(machine)
    assert len(kinds) == 9
    assert kinds[-1] == Holder("process", "12 more processes")


def test_swap(machine: tuple[Path, Path], node: str) -> None:
    with (machine[0] / "swaps").open("a") as f:
        f.write(node.replace(" ", "\\040") + "   partition\t1023996\t0\t-2\n/dev/null file 1 0 -3\n")
    assert found(machine) == (Holder("swap", node),)


def test_a_file_system_with_a_number_of_its_own(machine: tuple[Path, Path], node: str) -> None:
    """btrfs shows a made-up number; its source is the device."""
    source = node.replace(" ", "\\040")
    (machine[0] / "self/mountinfo").write_text(
        f"30 1 0:44 / /mnt rw - btrfs {source} rw\n31 1 0:5 / /proc rw - proc proc rw\n"
    )
    assert found(machine) == (Holder("mount", "/mnt"),)


@pytest.mark.parametrize(
    ("escaped", "text"),
    [("/a\\040b", "/a b"), ("/tab\\011", "/tab\t"), ("/back\\134slash", "/back\\slash"), ("/", "/")],
)
def test_proc_s_escapes(escaped: str, text: str) -> None:
    assert unescape(escaped) == text


def test_many_devices_are_asked_about_in_one_look(monkeypatch):
    """However many are in use: the processes of the machine and their files are gone through once."""
    from vmgr.dm import holders as module

    looks: list[str] = []
    real = module._pids
    monkeypatch.setattr(module, "_pids", lambda proc: looks.append(proc) or real(proc))
    found = module.holders_of([(250, n) for n in range(20)])
    assert len(found) == 20
    assert len(looks) <= 2  # mount namespaces, open files
