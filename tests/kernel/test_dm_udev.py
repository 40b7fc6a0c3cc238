"""Nodes, links and cookies on a real kernel: with a real systemd-udevd, and without any."""

from __future__ import annotations

import mmap
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.lab import run, udev_runs, udev_stopped, until, with_and_without_udev
from vmgr.core.errors import InUse, UdevTimeout
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import abi, udev
from vmgr.dm.client import DmClient, by_name, by_uuid
from vmgr.dm.kernel import IoctlKernel
from vmgr.dm.pending import PendingWork

LINK = ("labvg", "one")
UUID = "LVM-" + "a" * 32 + "b" * 32
with_udev = pytest.mark.udev


@pytest.fixture
def dm(_machine: None) -> Iterator[DmClient]:
    """A client as commands get it: it finds out about udev by itself."""
    with DmClient.open() as client:
        yield client
    assert client.warnings == []
    assert cookies() == []


def cookies() -> list[str]:
    """The semaphores shared with udev, as dmsetup lists them."""
    lines = run("dmsetup", "udevcookies").stdout.splitlines()
    return [line.split()[0] for line in lines if line.startswith("0x")]


def line(length: int = 2048, target: str = "zero", params: str = "", start: int = 0) -> KernelLine:
    return KernelLine(Sectors(start), Sectors(length), target, params)


def make(dm: DmClient, name: str = "labvg-one", uuid: str = UUID, link: tuple[str, str] | None = LINK) -> str:
    dm.create(name, uuid)
    dm.load(by_name(name), [line()])
    device = dm.resume(by_name(name), link=link, hidden=link is None)
    return f"{device.major}:{device.minor}"


def leads_to(path: str) -> str:
    """The number of the block device at ``path``; empty when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ""
    assert stat.S_ISBLK(found.st_mode)
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def properties(path: str) -> dict[str, str]:
    return dict(
        entry.split("=", 1) for entry in run("udevadm", "info", "--query=property", path).stdout.splitlines()
    )


# -- the same with and without ------------------------------------------------------------------------


@with_and_without_udev
def test_udev_is_found_when_it_runs(udev: bool) -> None:
    import vmgr.dm.udev

    assert (vmgr.dm.udev.detect() is not None) == udev == udev_runs()


@with_and_without_udev
def test_a_device_has_its_node_and_link_when_resume_returns(dm: DmClient, udev: bool) -> None:
    number = make(dm)
    assert leads_to("/dev/mapper/labvg-one") == leads_to("/dev/labvg/one") == number
    assert os.path.islink("/dev/mapper/labvg-one") == udev
    assert os.path.islink("/dev/labvg/one")
    assert cookies() == []


@with_and_without_udev
def test_a_created_device_has_no_node_before_its_resume(dm: DmClient, udev: bool) -> None:
    dm.create("labvg-one", UUID)
    dm.load(UUID, [line()])
    assert not os.path.lexists("/dev/mapper/labvg-one")


@with_and_without_udev
def test_a_removed_device_has_neither_node_nor_link_when_remove_returns(dm: DmClient, udev: bool) -> None:
    make(dm)
    dm.remove(UUID, link=LINK, retry=5)
    assert not os.path.lexists("/dev/mapper/labvg-one")
    assert not os.path.lexists("/dev/labvg/one")
    assert not os.path.exists("/dev/labvg")
    assert cookies() == []


@with_and_without_udev
def test_a_renamed_device_has_the_new_node_and_link_only(dm: DmClient, udev: bool) -> None:
    number = make(dm)
    dm.rename(UUID, "newvg-two", old_link=LINK, new_link=("newvg", "two"))
    assert leads_to("/dev/mapper/newvg-two") == leads_to("/dev/newvg/two") == number
    assert not os.path.lexists("/dev/mapper/labvg-one")
    assert not os.path.exists("/dev/labvg")
    assert cookies() == []


@with_and_without_udev
def test_a_hidden_device_has_a_node_and_no_link(dm: DmClient, udev: bool) -> None:
    number = make(dm, "labvg-one-real", UUID + "-real", None)
    assert leads_to("/dev/mapper/labvg-one-real") == number
    assert not os.path.exists("/dev/labvg")
    dm.rename(UUID + "-real", "labvg-two-real")
    assert leads_to("/dev/mapper/labvg-two-real") == number
    assert not os.path.lexists("/dev/mapper/labvg-one-real")


@with_and_without_udev
def test_a_transaction_settles_everything_at_its_end(dm: DmClient, udev: bool) -> None:
    with dm.transaction():
        numbers = {i: make(dm, f"labvg-v{i}", f"{UUID}-{i}", ("labvg", f"v{i}")) for i in range(20)}
        dm.remove(f"{UUID}-3", link=("labvg", "v3"), retry=5)
        dm.rename(f"{UUID}-4", "labvg-w4", old_link=("labvg", "v4"), new_link=("labvg", "w4"))
        assert len(cookies()) == (1 if udev else 0)
    assert cookies() == []
    for i in range(20):
        name = "w4" if i == 4 else f"v{i}"
        expected = "" if i == 3 else numbers[i]
        assert leads_to(f"/dev/mapper/labvg-{name}") == leads_to(f"/dev/labvg/{name}") == expected
    assert not os.path.lexists("/dev/labvg/v4")


@with_and_without_udev
def test_a_name_that_goes_and_comes_in_one_transaction_leads_to_the_new_device(dm: DmClient, udev: bool) -> None:
    make(dm)
    make(dm, "labvg-other", UUID + "-o", ("labvg", "other"))
    with dm.transaction():
        dm.remove(UUID, link=LINK, retry=5)
        dm.rename(UUID + "-o", "labvg-one", old_link=("labvg", "other"), new_link=LINK)
        number = make(dm, "labvg-other", UUID + "-n", ("labvg", "other"))
    device = dm.info(uuid=UUID + "-o")
    assert device is not None
    assert leads_to("/dev/mapper/labvg-one") == leads_to("/dev/labvg/one") == f"{device.major}:{device.minor}"
    assert leads_to("/dev/mapper/labvg-other") == leads_to("/dev/labvg/other") == number


@with_and_without_udev
def test_nothing_is_waited_for_while_a_device_is_suspended(dm: DmClient, udev: bool) -> None:
    """Rules that read the resumed device would wait for the suspended one below it."""
    number = make(dm, "labvg-low", UUID + "-low", None)
    dm.create("labvg-one", UUID)
    dm.load(UUID, [line(2048, "linear", f"{number} 0")])
    dm.suspend(UUID + "-low")
    upper = dm.resume(UUID, link=LINK)
    assert dm.suspended()
    dm.sync()
    assert len(cookies()) == (1 if udev else 0)
    dm.resume(UUID + "-low", hidden=True)
    assert cookies() == []
    assert leads_to("/dev/labvg/one") == f"{upper.major}:{upper.minor}"


@with_and_without_udev
def test_a_resume_that_changes_nothing_waits_for_nothing(dm: DmClient, udev: bool) -> None:
    make(dm)
    dm.resume(UUID, link=LINK)
    assert cookies() == []


@with_and_without_udev
def test_a_refused_command_leaves_no_cookie(dm: DmClient, udev: bool) -> None:
    make(dm)
    holder = os.open("/dev/mapper/labvg-one", os.O_RDONLY)
    try:
        with pytest.raises(InUse) as caught:
            dm.remove(UUID, link=LINK)
    finally:
        os.close(holder)
    assert f"process {os.getpid()}" in caught.value.message
    assert cookies() == []
    assert leads_to("/dev/labvg/one")


@with_and_without_udev
def test_a_busy_device_is_tried_again_until_it_is_free(dm: DmClient, udev: bool) -> None:
    make(dm)
    holder = os.open("/dev/mapper/labvg-one", os.O_RDONLY)
    threading.Timer(0.5, os.close, [holder]).start()
    assert dm.remove(UUID, link=LINK, retry=30)
    assert cookies() == []


@with_and_without_udev
def test_a_deferred_removal_leaves_node_and_no_cookie(dm: DmClient, udev: bool) -> None:
    number = make(dm)
    holder = os.open("/dev/mapper/labvg-one", os.O_RDONLY)
    try:
        assert not dm.remove(UUID, link=LINK, deferred=True)
        assert cookies() == []
        assert leads_to("/dev/labvg/one") == number
    finally:
        os.close(holder)
    until(lambda: dm.info(uuid=UUID) is None, "the removal")


@with_and_without_udev
def test_read_ahead_is_set_when_asked_for(dm: DmClient, udev: bool) -> None:
    def read_ahead(number: str) -> int:
        with open(f"/sys/dev/block/{number}/bdi/read_ahead_kb") as f:
            return int(f.read()) * 2

    dm.create("a")
    dm.load("a", [line()])
    device = dm.resume("a", read_ahead=1024)
    number = f"{device.major}:{device.minor}"
    assert read_ahead(number) == 1024
    dm.suspend("a")
    dm.resume("a", read_ahead=512, read_ahead_at_least=True)
    assert read_ahead(number) == 1024
    dm.suspend("a")
    dm.resume("a", read_ahead=0)
    assert read_ahead(number) == 0


# -- udev ----------------------------------------------------------------------------------------------


@with_udev
def test_hidden_devices_are_left_alone_by_the_rules(dm: DmClient) -> None:
    """With the flags that lvm2 gives its own helper devices."""
    make(dm, "labvg-one-real", UUID + "-real", None)
    found = properties("/dev/mapper/labvg-one-real")
    assert found["DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG"] == "1"
    assert found["DM_UDEV_DISABLE_DISK_RULES_FLAG"] == "1"
    assert found["DM_UDEV_DISABLE_OTHER_RULES_FLAG"] == "1"
    assert found["DM_UDEV_PRIMARY_SOURCE_FLAG"] == "1"
    assert "/dev/disk/by-id/dm-name-labvg-one-real" not in found.get("DEVLINKS", "")
    dm.rename(UUID + "-real", "labvg-two-real")
    found = properties("/dev/mapper/labvg-two-real")
    assert found["DM_UDEV_DISABLE_DISK_RULES_FLAG"] == "1"


@with_udev
def test_visible_devices_get_all_that_the_rules_give(dm: DmClient) -> None:
    number = make(dm)
    found = properties("/dev/mapper/labvg-one")
    assert found["DM_NAME"] == "labvg-one"
    assert found["DM_UUID"] == UUID
    assert (found["DM_VG_NAME"], found["DM_LV_NAME"]) == LINK
    assert found["DM_UDEV_PRIMARY_SOURCE_FLAG"] == "1"
    assert "DM_UDEV_DISABLE_OTHER_RULES_FLAG" not in found
    links = found["DEVLINKS"].split()
    assert links.count("/dev/labvg/one") == 1
    assert "/dev/disk/by-id/dm-name-labvg-one" in links
    major, minor = map(int, number.split(":"))
    assert udev.settle(major, minor, timeout=30) == udev.properties(major, minor)
    assert udev.properties(major, minor)["DM_NAME"] == "labvg-one"


@with_udev
def test_a_device_not_scanned_is_scanned_once_it_is_shown(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    """As lvm2 does with a new volume that it has yet to wipe."""
    disk = make_disk(4)
    run("mke2fs", "-q", disk)
    number = os.stat(disk).st_rdev
    dm.create("labvg-one", UUID)
    dm.load(UUID, [line(8192, "linear", f"{os.major(number)}:{os.minor(number)} 0")])
    dm.resume(UUID, link=LINK, noscan=True)
    found = properties("/dev/mapper/labvg-one")
    assert found["DM_NOSCAN"] == "1"
    assert "ID_FS_TYPE" not in found
    assert leads_to("/dev/labvg/one")
    dm.show(UUID, link=LINK)
    until(lambda: properties("/dev/mapper/labvg-one").get("ID_FS_TYPE") == "ext2", "the scan")
    assert "DM_NOSCAN" not in properties("/dev/mapper/labvg-one")


@with_udev
def test_a_lost_cookie_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """udevd that does not answer: the bound passes, a warning says so, the node is made, no semaphore is left."""
    client = DmClient(IoctlKernel(), udev=udev.Udev(timeout=0.3))
    with udev_stopped():
        number = make(client)
        assert leads_to("/dev/mapper/labvg-one") == leads_to("/dev/labvg/one") == number
        said = " ".join(client.warnings)
        assert "udev is not done" in said
        assert "/dev/mapper/labvg-one" in said
        assert cookies() == []
    client.remove(UUID, link=LINK, retry=5)
    assert not os.path.lexists("/dev/mapper/labvg-one")
    client.close()


@with_udev
def test_a_cookie_that_an_administrator_completes_ends_the_wait() -> None:
    cookie = udev.Udev().new_cookie()
    cookie.announce()
    thread = threading.Timer(0.5, run, ["dmsetup", "udevcomplete", hex(cookie.value)])
    thread.start()
    cookie.wait(timeout=30)
    thread.join()
    assert cookies() == []

    cookie = udev.Udev().new_cookie()
    cookie.announce()
    thread = threading.Timer(0.5, run, ["dmsetup", "udevcomplete_all", "-y"])
    thread.start()
    cookie.wait(timeout=30)
    thread.join()
    assert cookies() == []


@with_udev
def test_a_bound_that_passes_is_an_error_of_its_own() -> None:
    cookie = udev.Udev().new_cookie()
    cookie.announce()
    with pytest.raises(UdevTimeout, match="not done with 1 of 1"):
        cookie.wait(timeout=0.1)
    assert cookies() == []


@with_udev
def test_a_client_without_udev_beside_a_running_one_keeps_it_out() -> None:
    """DM_DISABLE_UDEV, or another device directory: the rules are told to leave the names alone."""
    with DmClient.open(use_udev=False) as client:
        number = make(client)
        run("udevadm", "settle")
        assert leads_to("/dev/mapper/labvg-one") == number
        assert not os.path.islink("/dev/mapper/labvg-one")
        found = properties(f"/dev/block/{number}")
        assert found["DM_UDEV_DISABLE_DM_RULES_FLAG"] == "1"
        assert found["DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG"] == "1"
        client.remove(UUID, link=LINK, retry=5)
        assert not os.path.lexists("/dev/mapper/labvg-one")
    assert client.warnings == []


@with_udev
def test_a_node_that_udev_did_not_make_is_made_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site's own rules may have forgotten it: the volume is usable all the same."""
    real = PendingWork.announce
    keep_out = abi.UDEV_DISABLE_DM_RULES | abi.UDEV_DISABLE_SUBSYSTEM_RULES
    monkeypatch.setattr(PendingWork, "announce", lambda self, flags: real(self, flags | keep_out))
    with DmClient.open() as client:
        number = make(client)
        assert leads_to("/dev/mapper/labvg-one") == leads_to("/dev/labvg/one") == number
        assert client.warnings == ["udev did not set up /dev/mapper/labvg-one, /dev/labvg/one; done without it"]
        monkeypatch.undo()
        client.remove(UUID, link=LINK, retry=5)
    assert not os.path.lexists("/dev/mapper/labvg-one")


# -- no udev -------------------------------------------------------------------------------------------


def test_nodes_have_owner_group_and_mode(dm: DmClient) -> None:
    import grp

    make(dm)
    found = os.stat("/dev/mapper/labvg-one")
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert (found.st_uid, found.st_gid) == (0, grp.getgrnam("disk").gr_gid)
    assert os.readlink("/dev/labvg/one") == "/dev/mapper/labvg-one"


def test_a_wrong_node_is_repaired(dm: DmClient) -> None:
    os.mknod("/dev/mapper/labvg-one", stat.S_IFBLK | 0o600, os.makedev(7, 7))
    os.mkdir("/dev/labvg")
    os.symlink("/dev/loop7", "/dev/labvg/one")
    number = make(dm)
    assert leads_to("/dev/mapper/labvg-one") == leads_to("/dev/labvg/one") == number


def test_the_group_s_directory_goes_with_its_last_link(dm: DmClient) -> None:
    make(dm)
    make(dm, "labvg-two", UUID + "2", ("labvg", "two"))
    dm.remove(UUID, link=LINK)
    assert os.listdir("/dev/labvg") == ["two"]
    dm.remove(UUID + "2", link=("labvg", "two"))
    assert not os.path.exists("/dev/labvg")


def test_another_device_directory_gets_everything(tmp_path_factory: pytest.TempPathFactory) -> None:
    """DM_DEV_DIR: control node, nodes and links are below it, and none in /dev."""
    base = f"/dev/shm/dm-dir-{os.getpid()}"
    os.mkdir(base)
    run("mount", "-t", "tmpfs", "-o", "dev", "tmpfs", base)
    try:
        with DmClient.open(dev_dir=base) as client:
            number = make(client)
            control = os.stat(f"{base}/mapper/control")
            assert stat.S_ISCHR(control.st_mode)
            assert control.st_rdev == os.stat("/dev/mapper/control").st_rdev
            assert leads_to(f"{base}/mapper/labvg-one") == leads_to(f"{base}/labvg/one") == number
            assert not os.path.lexists("/dev/mapper/labvg-one")
            client.remove(UUID, link=LINK)
            assert os.listdir(f"{base}/mapper") == ["control"]
    finally:
        run("umount", base)
        os.rmdir(base)


# -- between suspend and resume --------------------------------------------------------------------------


FRESH = """
import sys
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient
from vmgr.dm.failure import DmError

line = KernelLine(Sectors(0), Sectors(2048), "zero", "")
disk = sys.argv[1]
bad = KernelLine(Sectors(0), Sectors(2048), "linear", disk + " 999999999")
seen, on = [], False

def hook(event, arguments):
    if on and event in ("open", "import", "os.listdir", "os.scandir", "ctypes.dlopen", "ctypes.dlsym"):
        seen.append((event, arguments[0]))

dm = DmClient.open()
dm.create("vg-a", "LVM-" + "a" * 64)
dm.load("vg-a", [line])
dm.resume("vg-a", link=("vg", "a"))
dm.load("vg-a", [bad])
sys.addaudithook(hook)
if len(sys.argv) > 2:
    dm = DmClient.open()  # one that has not done anything yet
    dm.version()
with dm.transaction():
    dm.suspend("vg-a")
    on = True
    try:
        dm.resume("vg-a", link=("vg", "a"))
    except DmError as e:
        str(e)
    dm.create("vg-b", "LVM-" + "b" * 64)
    dm.load("vg-b", [line])
    dm.resume("vg-b", link=("vg", "b"))
    dm.rename("vg-b", "vg-c", old_link=("vg", "b"), new_link=("vg", "c"))
    dm.remove("vg-c", link=("vg", "c"))
    dm.resume("vg-a", link=("vg", "a"))
    on = False
assert seen == [], seen
assert dm.warnings == [], dm.warnings
dm.remove("vg-a", link=("vg", "a"), retry=10)
"""


@with_and_without_udev
@pytest.mark.parametrize("argument", [[], ["new"]], ids=["used", "new"])
def test_nothing_is_imported_or_opened_while_a_device_is_suspended(
    make_disk: Callable[[float], str], udev: bool, argument: list[str]
) -> None:
    """It might lie on the suspended device. In a fresh process, refusals and all."""
    disk = os.stat(make_disk(1)).st_rdev
    run(sys.executable, "-c", FRESH, f"{os.major(disk)}:{os.minor(disk)}", *argument)
    assert cookies() == []


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_wait_in_a_thread_lets_the_others_run(dm: DmClient, timeout: float | None) -> None:
    make(dm)
    seen: list[int] = []

    def wait() -> None:
        with DmClient.open() as other:
            device = other.wait(by_uuid(UUID), 0, timeout=timeout)
            assert device is not None
            seen.append(device.event_nr)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)  # the wait has begun, or begins later and finds the event: both must end
    assert seen == []
    dm.rename(UUID, "labvg-two", old_link=LINK, new_link=("labvg", "two"))
    thread.join(30)
    assert seen == [1]


def test_a_suspend_waits_for_input_and_output_and_lets_other_threads_run(dm: DmClient) -> None:
    """A write to a suspended device ends when it is resumed, in one process."""
    make(dm)
    dm.suspend(UUID)
    ended = threading.Event()

    def write() -> None:
        fd = os.open("/dev/mapper/labvg-one", os.O_WRONLY | os.O_DIRECT)
        try:
            buffer = mmap.mmap(-1, 4096)
            os.writev(fd, [buffer])
        finally:
            os.close(fd)
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not ended.wait(0.3)
    dm.resume(UUID, link=LINK)
    assert ended.wait(30)
    thread.join()


@with_udev
def test_the_rules_make_of_our_devices_what_they_make_of_lvm2_s(
    dm: DmClient, make_disk: Callable[[float], str]
) -> None:
    """A snapshot and its helpers, activated by lvm2 and again by us: udev's database says the same."""
    disk = make_disk(64)
    run("pvcreate", "-qq", "-y", disk)
    run("vgcreate", "-qq", "labvg", disk)
    run("lvcreate", "-qq", "-y", "-l4", "-n", "one", "labvg")
    run("mke2fs", "-q", "/dev/labvg/one")
    run("lvcreate", "-qq", "-y", "-l2", "-s", "-n", "snap", "labvg/one")
    run("vgchange", "-qq", "-an", "labvg")
    run("vgchange", "-qq", "-ay", "labvg")
    run("udevadm", "settle")
    links = {"labvg-one": ("labvg", "one"), "labvg-snap": ("labvg", "snap")}
    devices = sorted(dm.devices(prefix="LVM-", tables=True), key=lambda device: device.minor)
    theirs = {device.name: comparable(device.name) for device in devices}
    links_then = sorted(os.listdir("/dev/disk/by-uuid"))
    run("vgchange", "-qq", "-an", "labvg")

    with dm.transaction():
        for device in devices:
            assert device.table is not None
            dm.create(device.name, device.uuid, numbers=(device.major, device.minor))
        while waiting := [d for d in dm.devices() if not d.has_live]:
            for live in waiting:
                (then,) = (device for device in devices if device.uuid == live.uuid)
                needed = {abi.dev_number(*pair) for pair in ready(dm)}
                if not set(abi.numbers_in(then.table[0].params)) - needed:  # type: ignore[index]
                    dm.load(live, then.table or ())
                    dm.resume(
                        live,
                        link=links.get(live.name),
                        hidden=live.name not in links,
                        low_priority="snap" in live.name,
                    )
    run("udevadm", "settle")
    assert {device.name: comparable(device.name) for device in devices} == theirs
    assert sorted(os.listdir("/dev/disk/by-uuid")) == links_then
    assert os.path.realpath(f"/dev/disk/by-uuid/{links_then[0]}") == os.path.realpath("/dev/labvg/one")
    run("vgchange", "-qq", "-an", "labvg")
    assert dm.names() == ()


def ready(dm: DmClient) -> list[tuple[int, int]]:
    """Devices that a table may refer to: disks, and mapped devices that are live."""
    mapped = [(device.major, device.minor) for device in dm.devices() if device.has_live]
    return mapped + [(7, minor) for minor in range(16)]


def comparable(name: str) -> dict[str, str]:
    """udev's properties of a device, but for those that tell when, and that lvm2 wants no help with nodes."""
    found = properties(f"/dev/mapper/{name}")
    for key in ("USEC_INITIALIZED", "SEQNUM", "DISKSEQ", "DM_UDEV_DISABLE_LIBRARY_FALLBACK_FLAG"):
        found.pop(key, None)
    found["DEVLINKS"] = " ".join(sorted(found.get("DEVLINKS", "").split()))
    return found
