"""Reaching the device mapper: its module, its control node, and being kept from it."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support import public
from tests.support.lab import run, unload, with_and_without_udev
from vmgr.core.errors import InUse, NotFound
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import control
from vmgr.dm.client import DmClient
from vmgr.dm.failure import NoDeviceMapper
from vmgr.dm.kernel import IoctlKernel

CONTROL = "/dev/mapper/control"


@contextmanager
def no_autoload() -> Iterator[None]:
    """Keep the kernel from asking for modules."""
    with open("/proc/sys/kernel/modprobe") as f:
        helper = f.read()
    with open("/proc/sys/kernel/modprobe", "w") as f:
        f.write("/bin/false")
    try:
        yield
    finally:
        with open("/proc/sys/kernel/modprobe", "w") as f:
            f.write(helper)


@pytest.fixture
def unloaded(_machine: None) -> Iterator[None]:
    """A kernel whose device-mapper modules are not loaded."""
    unload()
    assert control.proc_number("/proc/misc", "device-mapper") is None
    yield
    run("modprobe", "dm-mod")


def test_opening_the_control_node_loads_the_module(unloaded: None) -> None:
    with DmClient.open() as client:
        assert client.version() >= (4, 0, 0)
    assert control.block_major() > 0


def test_a_target_s_module_is_loaded_by_its_table(unloaded: None) -> None:
    with DmClient.open() as client:
        assert "zero" not in client.targets()
        client.create("a")
        client.load("a", [KernelLine(Sectors(0), Sectors(8), "zero", "")])
        assert "zero" in client.targets()
        client.remove("a")


def test_a_kernel_without_a_device_mapper_says_so(unloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_load_module", lambda: False)
    with no_autoload():
        with pytest.raises(NoDeviceMapper) as caught:
            DmClient.open().version()
        assert "modprobe dm-mod" in caught.value.hint
        with pytest.raises(NoDeviceMapper):
            control.block_major()


def test_modprobe_helps_where_opening_loads_nothing(unloaded: None) -> None:
    with no_autoload(), DmClient.open() as client:
        assert client.version() >= (4, 0, 0)


@pytest.mark.parametrize("wrong", ["missing", "file", "other numbers", "dangling link"])
def test_a_control_node_that_is_missing_or_wrong_is_repaired(wrong: str) -> None:
    right = os.stat(CONTROL).st_rdev
    os.unlink(CONTROL)
    if wrong == "file":
        with open(CONTROL, "w"):
            pass
    elif wrong == "other numbers":
        os.mknod(CONTROL, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    elif wrong == "dangling link":
        os.symlink("nowhere", CONTROL)
    with DmClient.open() as client:
        client.version()
    found = os.stat(CONTROL)
    assert stat.S_ISCHR(found.st_mode)
    assert (found.st_rdev, stat.S_IMODE(found.st_mode)) == (right, 0o600)


STRANGER = """
import os
if {open}:
    fd = os.open("/dev/mapper/control", os.O_RDWR)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
from vmgr.core.errors import NotPermitted
from vmgr.dm.kernel import IoctlKernel
kernel = IoctlKernel()
if {open}:
    kernel._fd = fd
try:
    kernel.version
except NotPermitted as e:
    assert e.hint.startswith("run as root"), e.hint
    print(e.message)
"""


@pytest.mark.parametrize(
    ("opened", "says"), [(False, "cannot open"), (True, "version: permission denied (EACCES)")]
)
def test_a_user_without_privilege_is_told(opened: bool, says: str) -> None:
    """At the node, or at the ioctl when the node lets him in."""
    done = subprocess.run(public.code(STRANGER.format(open=opened)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert "permission denied" in done.stdout


@with_and_without_udev
def test_a_busy_disk_says_who_holds_it(make_disk: Callable[[float], str], udev: bool) -> None:
    disk = make_disk(8)
    run("mke2fs", "-q", disk)
    os.makedirs("/run/my mount", exist_ok=True)
    run("mount", disk, "/run/my mount")
    number = os.stat(disk).st_rdev
    try:
        with DmClient.open() as client:
            client.create("a")
            with pytest.raises(InUse) as caught:
                client.load(
                    "a",
                    [KernelLine(Sectors(0), Sectors(8), "linear", f"{os.major(number)}:{os.minor(number)} 0")],
                )
            client.remove("a")
    finally:
        run("umount", "/run/my mount")
    assert caught.value.details == ("mounted on /run/my mount",)
    assert "mounted on /run/my mount" in caught.value.message


def test_a_busy_device_says_which_one_lies_on_it() -> None:
    with DmClient(IoctlKernel()) as client:
        for name, target in (("low", "zero"), ("high", "linear")):
            below = client.info(name="low")
            params = f"{below.major}:{below.minor} 0" if below else ""
            client.create(name)
            client.load(name, [KernelLine(Sectors(0), Sectors(8), target, params)])
            client.resume(name)
        with pytest.raises(InUse) as caught:
            client.remove("low")
        high = client.info(name="high")
        assert high is not None
        number = f"{high.major}:{high.minor}"
        assert caught.value.details == (f"used by the device high (dm-{high.minor}, {number})",)


def test_a_client_that_nobody_closes_leaves_no_descriptor_behind() -> None:
    gc.collect()
    before = os.listdir("/proc/self/fd")
    client = DmClient.open()
    assert client.version() >= (4, 0, 0)
    with pytest.raises(NotFound):
        client.suspend("nowhere")  # after which the kernel's log is open as well
    del client
    gc.collect()
    assert os.listdir("/proc/self/fd") == before
