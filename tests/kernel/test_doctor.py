"""Each thing is broken for real: doctor names it, --fix repairs what it may, and the next look finds nothing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import lab, public
from tests.support.tools import kernel_tables, vmgr
from vmgr.dm.cookies import create
from vmgr.dm.semaphores import Semaphores
from vmgr.doctor.examine import Question, examine
from vmgr.doctor.repair import fix

CONTROL = "/dev/mapper/control"


def doctor(*words: str, status: int | None = None) -> dict[str, dict]:
    """The findings by id, and what was fixed under ``fixes``."""
    value = json.loads(vmgr("doctor", "--json", *words, status=status).stdout)
    return {**{finding["id"]: finding for finding in value["findings"]}, "fixes": value["fixes"]}


def ids(found: dict[str, dict]) -> set[str]:
    return {id for id, finding in found.items() if id != "fixes" and finding["state"] == "problem"}


def repair(*words: str) -> dict[str, dict]:
    """Fix, check that every fix was done and that a second look finds nothing wrong; what the first said."""
    first = doctor("--fix", *words, status=0)
    assert all(one["done"] for one in first["fixes"]), first["fixes"]
    assert first["fixes"]
    assert ids(doctor(*words, status=0)) == set()
    return first


@pytest.fixture
def device() -> str:
    lab.run("dmsetup", "create", "broken", "--table", "0 2048 error")
    return "broken"


def text(path: str) -> str:
    with open(path) as file:
        return file.read()


def numbers(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return os.major(found.st_rdev), os.minor(found.st_rdev)


@lab.with_and_without_udev
def test_a_machine_that_is_well_has_no_problem(device, udev):
    before = text("/proc/modules").split("\n")
    found = doctor(status=0)
    assert ids(found) == set()
    assert len(text("/proc/modules").split("\n")) == len(before), "an examination loaded a module"
    assert found["kernel.module-loaded"]["facts"]["release"] == os.uname().release
    assert found["kernel.freeze"]["facts"]["skip"]
    assert found["targets.loaded"]["facts"]["targets"]["error"]
    assert ("udev.running" in found) == udev
    if udev:
        assert {"udev.rules", "udev.lvm-rules"} <= set(found)
    assert found["major.right"]["facts"]["major"] == numbers("/dev/mapper/broken")[0]


@lab.with_and_without_udev
def test_a_missing_control_node_is_made(device, udev):
    right = numbers(CONTROL)
    os.unlink(CONTROL)
    found = doctor(status=5)
    assert ids(found) == {"control.missing"}
    assert found["control.missing"]["fixable"]
    assert not os.path.exists(CONTROL), "an examination made the node"
    repair()
    assert numbers(CONTROL) == right
    assert stat.S_IMODE(os.stat(CONTROL).st_mode) == 0o600


def test_the_remedy_for_the_control_node_is_a_command_that_works():
    right = numbers(CONTROL)
    os.unlink(CONTROL)
    lab.run("sh", "-c", doctor("control")["control.missing"]["remedy"])
    assert numbers(CONTROL) == right
    assert ids(doctor("control", status=0)) == set()


def test_a_control_node_with_wrong_numbers_or_open_to_all_is_repaired():
    right = numbers(CONTROL)
    os.unlink(CONTROL)
    os.mknod(CONTROL, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    assert ids(doctor(status=5)) == {"control.wrong-numbers"}
    repair()
    assert numbers(CONTROL) == right
    os.chmod(CONTROL, 0o666)
    assert ids(doctor(status=5)) == {"control.open-to-all"}
    repair()
    assert stat.S_IMODE(os.stat(CONTROL).st_mode) == 0o600


@lab.with_and_without_udev
def test_a_node_with_wrong_numbers_is_made_right(device, udev):
    path = f"/dev/mapper/{device}"
    right = numbers(path)
    os.unlink(path)
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(right[0], 99))
    found = doctor(status=5)
    assert ids(found) == {"nodes.wrong"}
    assert found["nodes.wrong"]["facts"]["device"] == device
    repair("nodes")
    assert numbers(path) == right


@lab.with_and_without_udev
def test_a_missing_node_is_made(device, udev):
    path = f"/dev/mapper/{device}"
    right = numbers(path)
    os.unlink(path)
    assert ids(doctor(status=5)) == {"nodes.missing"}
    repair()
    assert numbers(path) == right


def test_stale_nodes_and_links_go_and_others_files_stay(device):
    major = numbers(f"/dev/mapper/{device}")[0]
    os.mknod("/dev/mapper/gone", stat.S_IFBLK | 0o600, os.makedev(major, 99))
    os.mkdir("/dev/oldvg")
    os.symlink("/dev/mapper/oldvg-lv", "/dev/oldvg/lv")
    assert ids(doctor(status=5)) == {"nodes.stale", "nodes.stale-link"}
    planned = doctor("--fix", "--test", status=5)
    assert {one["done"] for one in planned["fixes"]} == {False}
    assert os.path.lexists("/dev/mapper/gone"), "--test removed a node"
    repair()
    assert not os.path.lexists("/dev/mapper/gone")
    assert not os.path.exists("/dev/oldvg")
    assert os.path.exists(f"/dev/mapper/{device}")
    with open("/dev/mapper/notes", "w"):
        pass
    try:
        assert ids(doctor("--fix", status=5)) == {"nodes.foreign"}
        assert os.path.exists("/dev/mapper/notes")
    finally:
        os.unlink("/dev/mapper/notes")


def test_the_directory_of_before_0_96_04_is_migrated(device):
    right = numbers(f"/dev/mapper/{device}")
    os.mkdir("/dev/device-mapper")
    os.mknod("/dev/device-mapper/control", stat.S_IFCHR | 0o600, os.makedev(10, 63))
    os.rename(f"/dev/mapper/{device}", f"/dev/device-mapper/{device}")
    try:
        assert ids(doctor(status=5)) == {"nodes.missing", "nodes.old-directory"}
        repair()
        assert numbers(f"/dev/mapper/{device}") == right
        assert os.path.realpath("/dev/device-mapper") == "/dev/mapper"
    finally:
        if os.path.islink("/dev/device-mapper"):
            os.unlink("/dev/device-mapper")


# -- remedies -------------------------------------------------------------------------------------


def obey(finding: dict) -> None:
    """Type the remedy, as a person would."""
    words = finding["remedy"].split()
    assert words[0] == "vmgr", finding["remedy"]
    vmgr(*words[1:])


def test_each_remedy_for_nodes_is_a_command_that_repairs_it(device):
    path = f"/dev/mapper/{device}"
    right = numbers(path)
    os.unlink(path)
    obey(doctor("nodes")["nodes.missing"])
    assert numbers(path) == right
    os.unlink(path)
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(right[0], 99))
    obey(doctor("nodes")["nodes.wrong"])
    assert numbers(path) == right
    os.mknod("/dev/mapper/gone", stat.S_IFBLK | 0o600, os.makedev(right[0], 99))
    obey(doctor("nodes")["nodes.stale"])
    assert not os.path.lexists("/dev/mapper/gone")
    os.mkdir("/dev/oldvg")
    os.symlink("/dev/mapper/oldvg-lv", "/dev/oldvg/lv")
    obey(doctor("nodes")["nodes.stale-link"])
    assert not os.path.exists("/dev/oldvg")
    os.mkdir("/dev/device-mapper")
    os.rename(path, f"/dev/device-mapper/{device}")
    obey(doctor("nodes")["nodes.old-directory"])
    assert ids(doctor("nodes", status=0)) == set()
    os.unlink("/dev/device-mapper")


# -- suspended devices ----------------------------------------------------------------------------


def test_a_suspended_device_is_named_and_left_suspended(device):
    lab.run("dmsetup", "suspend", device)
    found = doctor(status=5)
    assert ids(found) == {"devices.suspended"}
    assert not found["devices.suspended"]["fixable"]
    assert ids(doctor("--fix", status=5)) == {"devices.suspended"}
    assert "SUSPENDED" in lab.run("dmsetup", "info", device).stdout
    obey(found["devices.suspended"])
    assert ids(doctor(status=0)) == set()


PARTS = {
    "the origin's top": ("tank-data",),
    "the snapshot's top": ("tank-snap",),
    "the snapshot's store": ("tank-snap", "tank-snap-cow"),
    "both tops": ("tank-data", "tank-snap"),
    "the origin": ("tank-data", "tank-snap", "tank-data-real"),
    "all but the origin below": ("tank-data", "tank-snap", "tank-snap-cow"),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("skip", ["n", "y"])
def test_a_device_that_was_removed_by_hand_is_named_with_its_volume_and_comes_back(make_disk, part, skip):
    vmgr("vgcreate", "tank", make_disk(64))
    vmgr("lvcreate", "-L8m", "-n", "data", "tank")
    vmgr("lvcreate", "-s", "-L8m", "-n", "snap", "tank/data")
    vmgr("lvchange", "--setactivationskip", skip, "tank/data")
    before, old, content = kernel_tables(), lab.read_at("/dev/tank/snap", 0, 1 << 16), lab.pattern(1, 1 << 16)
    lab.write_at("/dev/tank/data", 0, content)
    assert ids(doctor("devices", "nodes", status=0)) == set()
    for name in PARTS[part]:
        lab.run("dmsetup", "remove", name)
    found = doctor("devices", status=5)["devices.missing"]
    assert set(found["facts"]["missing"]) == set(PARTS[part])
    assert set(found["facts"]["running"]) == set(before) - set(PARTS[part])
    for name in PARTS[part]:
        assert f"tank/{name.split('-')[1]} misses its device" in found["text"]
    obey(found)
    assert set(kernel_tables()) == set(before)
    assert ids(doctor("devices", "nodes", status=0)) == set()
    assert lab.read_at("/dev/tank/data", 0, 1 << 16) == content
    lab.write_at("/dev/tank/data", 0, lab.pattern(2, 1 << 16))
    assert lab.read_at("/dev/tank/snap", 0, 1 << 16) == old
    vmgr("vgchange", "-an", "tank")


def test_who_waits_for_a_suspended_device_is_told(make_disk):
    disk = make_disk(8)
    lab.run("dmsetup", "create", "slow", "--table", f"0 {lab.sectors(disk)} linear {disk} 0")
    lab.run("dmsetup", "suspend", "slow")
    reader = subprocess.Popen(["dd", "if=/dev/mapper/slow", "of=/dev/null", "bs=4k", "count=1", "iflag=direct"])
    try:
        lab.until(lambda: "\nState:\tD" in text(f"/proc/{reader.pid}/status"), "the reader to wait")
        found = doctor("devices", status=5)["devices.suspended"]
        assert found["facts"]["waiting"] == [f"process {reader.pid} (dd)"]
        assert f"process {reader.pid} (dd) waits" in found["text"]
    finally:
        lab.run("dmsetup", "resume", "slow")
        reader.wait()


def test_who_waits_for_a_frozen_file_system_is_told_and_nothing_hangs(make_disk, tmp_path):
    disk = make_disk(16)
    lab.run("dmsetup", "create", "slow", "--table", f"0 {lab.sectors(disk)} linear {disk} 0")
    lab.run("mkfs.ext4", "-q", "/dev/mapper/slow")
    lab.run("mount", "/dev/mapper/slow", str(tmp_path))
    lab.run("dmsetup", "suspend", "slow")
    writer = subprocess.Popen(["touch", f"{tmp_path}/file"])
    try:
        lab.until(lambda: "\nState:\tD" in text(f"/proc/{writer.pid}/status"), "the writer to wait")
        found = doctor(status=5)["devices.suspended"]
        assert found["facts"]["mounted"] == [str(tmp_path)]
        assert f"process {writer.pid} (touch) is stuck and may wait for it" in found["text"]
    finally:
        lab.run("dmsetup", "resume", "slow")
        writer.wait()
        lab.run("umount", str(tmp_path))


def test_tables_that_wait_and_devices_without_one_are_told(device):
    lab.run("dmsetup", "load", device, "--table", "0 2048 zero")
    lab.run("dmsetup", "create", "empty", "--notable")
    found = doctor("devices", status=0)
    assert found["devices.table-waits"]["facts"]["device"] == device
    assert found["devices.no-table"]["facts"]["device"] == "empty"
    assert ids(doctor(status=0)) == set(), "a device without a table needs no node"


# -- cookies --------------------------------------------------------------------------------------


def test_a_cookie_that_was_left_over_is_removed_and_a_young_one_is_not():
    cookie = create()
    try:
        # Made by this process, which lives: an age alone does not make it a stranger's.
        young = {f.id for f in examine(Question(subjects=("cookies",)))}
        assert young == {"cookies.in-use"}
        owned = examine(Question(subjects=("cookies",), now=time.time() + 4000))[0]
        assert (owned.id, owned.repair) == ("cookies.waited-for", None)
        assert str(os.getpid()) in owned.text
        # Now the last to count it is a process that is gone.
        lab.run(sys.executable, "-c", f"from vmgr.dm.cookies import complete; complete({cookie})")
        later = Question(subjects=("cookies",), now=time.time() + 4000)
        assert examine(later)[0].id == "cookies.left-over"
        result = fix(later)
        assert [one.error for one in result.done] == [None]
        assert [f.id for f in result.left] == ["cookies.none"]
        assert Semaphores().find(cookie) is None
    finally:
        calls = Semaphores()
        semid = calls.find(cookie)
        if semid is not None:
            calls.remove(semid)


# -- locks ----------------------------------------------------------------------------------------


def test_a_held_lock_and_a_stopped_holder_are_named():
    os.makedirs("/run/lock/lvm", exist_ok=True)
    path = "/run/lock/lvm/V_held"
    script = (
        f"import fcntl, sys; f = open({path!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = doctor("locks", status=0)["locks.held"]
        assert found["facts"]["pids"] == [str(holder.pid)]
        assert found["text"].startswith("the group held is locked by process ")
        os.kill(holder.pid, signal.SIGSTOP)
        lab.until(lambda: "\nState:\tT" in text(f"/proc/{holder.pid}/status"), "the holder to stop")
        found = doctor("locks", status=5)["locks.stopped"]
        lab.run("sh", "-c", found["remedy"])
        assert ids(doctor("locks", status=0)) == set()
    finally:
        holder.kill()
        holder.wait()
        for pipe in (holder.stdin, holder.stdout):
            if pipe is not None:
                pipe.close()
    assert "locks.left-over" in doctor("locks", status=0)
    os.unlink(path)


# -- the module -----------------------------------------------------------------------------------


def test_an_unloaded_device_mapper_stays_so_until_it_is_to_be_fixed():
    """Opening the control node would load it."""
    lab.unload()
    try:
        found = doctor(status=0)
        assert found["kernel.module"]["fixable"]
        assert found["kernel.module"]["state"] == "warning"
        assert "device-mapper" not in text("/proc/misc"), "an examination loaded the module"
        repair()
    finally:
        lab.run("modprobe", "dm-mod")
    assert "device-mapper" in text("/proc/misc")


def test_a_major_that_configuration_asks_for_and_the_module_has_not_is_told(device):
    path = "/etc/modprobe.d/test-doctor.conf"
    try:
        with open(path, "w") as file:
            file.write("options dm-mod major=199\n")
        found = doctor("major", status=5)["major.differs"]
        assert f"{path}:1 asks for 199" in found["text"]
    finally:
        os.unlink(path)


# -- without privilege ----------------------------------------------------------------------------


def test_without_root_devices_are_seen_and_nothing_is_asked_of_the_kernel(device):
    lab.run("dmsetup", "suspend", device)
    done = lab.run(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        *public.program(), "doctor", "--json",
        check=False,
    )  # fmt: skip
    found = {finding["id"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 5
    assert found["permissions.not-root"]["remedy"] == "sudo vmgr doctor"
    assert found["devices.suspended"]["facts"]["device"] == device
    assert "nodes.right" in found
    assert found["kernel.interface-unknown"]["state"] == "note"


def test_a_directory_where_no_node_works_is_named(device, tmp_path, monkeypatch):
    lab.run("mount", "-t", "tmpfs", "-o", "nodev", "none", str(tmp_path))
    try:
        monkeypatch.setenv("DM_DEV_DIR", str(tmp_path))
        found = doctor("--fix", "control", status=5)["control.no-access"]
        assert found["remedy"] == f"mount -o remount,dev {tmp_path}"
        lab.run(*found["remedy"].split())
        assert ids(doctor("control", status=0)) == set()
    finally:
        lab.run("umount", str(tmp_path))


def test_another_device_directory_is_looked_at_where_commands_use_one(device, request, monkeypatch):
    tmp_path = Path("/dev/elsewhere")
    tmp_path.mkdir()
    request.addfinalizer(lambda: shutil.rmtree(tmp_path))
    monkeypatch.setenv("DM_DEV_DIR", str(tmp_path))
    assert "control.missing" in doctor("control", status=5)
    found = doctor("--fix", "control", "nodes", status=0)
    assert ids(found) == set()
    assert numbers(f"{tmp_path}/mapper/{device}") == numbers(f"/dev/mapper/{device}")
    assert numbers(f"{tmp_path}/mapper/control") == numbers(CONTROL)
    assert doctor("udev", status=0)["udev.elsewhere"]["state"] == "note"


def test_the_device_mapper_is_not_asked_where_it_is_not_to_be(device):
    found = doctor("--driverloaded", "n", status=0)
    assert "queries are turned off" in found["kernel.interface-unknown"]["text"]
    assert found["devices.running"]["facts"]["devices"] == 1, "sysfs tells"


def test_an_examination_takes_no_lock():
    os.makedirs("/run/lock/lvm", exist_ok=True)
    with open("/run/lock/lvm/P_global", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = doctor(status=0)
    assert "locks.held" in found
    os.unlink("/run/lock/lvm/P_global")
