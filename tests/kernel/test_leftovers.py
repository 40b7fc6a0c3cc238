"""Devices, links and copies that are not what the metadata say: nobody's data are given away or written over."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.tools import check_group, kernel_tables, lvm, vmgr

FAILED = 5


@pytest.fixture
def pvs(make_disk: Callable[[float], str]) -> list[str]:
    disks = [make_disk(64)]
    vmgr("vgcreate", "tank", *disks)
    return disks


def test_after_a_restore_under_active_volumes_their_space_is_given_to_nobody(
    pvs: list[str], tmp_path: Path
) -> None:
    """The restored metadata know neither the volume nor the growth of the other; both are in use."""
    file = tmp_path / "saved"
    vmgr("lvcreate", "-l2", "-n", "old", "tank")
    vmgr("vgcfgbackup", "-f", str(file), "tank")
    vmgr("lvextend", "-l4", "tank/old")
    vmgr("lvcreate", "-l4", "-n", "new", "tank")
    tables = kernel_tables()
    vmgr("vgcfgrestore", "-y", "-f", str(file), "tank")
    for words in (["lvcreate", "-l4", "-n", "x", "tank"], ["lvcreate", "--test", "-l4", "-n", "x", "tank"]):
        done = vmgr(*words, status=FAILED)
        assert "and may be written to: tank-new, tank-old" in done.stderr
    vmgr("lvchange", "--refresh", "tank/old")
    vmgr("lvcreate", "-l2", "-n", "x", "tank")  # where the growth was
    done = vmgr("lvextend", "-l+1", "tank/old", status=FAILED)
    assert "and may be written to: tank-new" in done.stderr
    assert kernel_tables()["tank-new"] == tables["tank-new"]
    vmgr("dm", "remove", "tank-new")
    vmgr("lvextend", "-l+1", "tank/old")
    check_group("tank", pvs)


def test_a_copied_disk_keeps_its_group_from_being_activated(
    pvs: list[str], make_disk: Callable[[float], str]
) -> None:
    vmgr("lvcreate", "-l2", "-n", "data", "tank")
    vmgr("vgchange", "-an", "tank")
    copy = make_disk(64)
    subprocess.run(["dd", f"if={pvs[0]}", f"of={copy}", "bs=1M", "conv=fsync"], check=True, capture_output=True)
    for words in (["vgchange", "-ay", "tank"], ["lvchange", "-ay", "tank/data"], ["vgchange", "-aay"]):
        done = vmgr(*words, status=FAILED)
        assert "is on two devices" in done.stderr
    assert lvm("vgchange", "-ay", "tank", status=FAILED).returncode == FAILED
    assert not kernel_tables()
    vmgr("vgchange", "-ay", "--config", "devices/allow_changes_with_duplicate_pvs=1", "tank")
    vmgr("vgchange", "-an", "tank")


@pytest.mark.parametrize("command", [["lvreduce", "-y"], ["lvextend"]])
def test_a_link_that_leads_elsewhere_does_not_get_another_file_system_resized(
    command: list[str], pvs: list[str]
) -> None:
    for name in ("one", "two"):
        vmgr("lvcreate", "-L8m", "-n", name, "tank")
        subprocess.run(["mkfs.ext4", "-q", f"/dev/tank/{name}"], check=True, capture_output=True)
    os.unlink("/dev/tank/one")
    os.symlink("/dev/mapper/tank-two", "/dev/tank/one")
    tables = kernel_tables()
    done = vmgr(*command, "-r", "-L", "4m" if "-y" in command else "12m", "tank/one", status=FAILED)
    assert "/dev/tank/one does not lead to the volume's device" in done.stderr
    assert kernel_tables() == tables
    with open("/dev/mapper/tank-two", "rb") as file:
        file.seek(1024 + 4)
        assert int.from_bytes(file.read(4), "little") * 1024 == 8 << 20


def test_a_name_that_another_device_has_is_refused_before_anything_is_changed(pvs: list[str]) -> None:
    vmgr("lvcreate", "-l1", "-n", "data", "tank")
    lab.run("dmsetup", "create", "other-data", "--table", "0 8 zero")
    lab.run("dmsetup", "create", "tank-new", "--table", "0 8 zero")
    before = (kernel_tables(), vmgr("vgs", "-o", "name,seqno").stdout)
    for words in (
        ["vgrename", "tank", "other"],
        ["lvrename", "tank", "data", "new"],
        ["lvcreate", "-l1", "-n", "new", "tank"],
    ):
        done = vmgr(*words, status=FAILED)
        assert "the kernel has another device called" in done.stderr
        assert (kernel_tables(), vmgr("vgs", "-o", "name,seqno").stdout) == before
    lab.run("dmsetup", "remove", "other-data")
    vmgr("vgrename", "tank", "other")
    assert set(kernel_tables()) == {"other-data", "tank-new"}
