"""The one caller of ioctl: buffers, interruptions, versions, and the words for refusals."""

# ruff: noqa: E402, I001 - the suite is imported after pytest was told to rewrite its assertions
from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.support.dm_conformance")

from tests.support.dm_conformance import DmConformance, Rig, line, refused, words, zeros
from tests.support.dm_shim import Shim
from tests.unit.test_dm_fake import FakeRig
from vmgr.core.errors import AlreadyExists, InUse, KernelError, NotFound, NotPermitted, VmgrError
from vmgr.dm import abi, kernel as kernel_module, wire
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.failure import DmError, DmInUse, NoDeviceMapper, Unsupported, command_name
from vmgr.dm.errnos import explain
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes
from vmgr.dm.kernel import IoctlKernel, check
from vmgr.dm.wire import Request


class ShimRig(FakeRig):
    """The suite's machine: the real caller of ioctl above a kernel in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.fake = self.kernel
        self.shim = Shim(self.fake)
        door = IoctlKernel()
        door._fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        door._major = self.fake.major
        monkeypatch.setattr(kernel_module.fcntl, "ioctl", self.shim.ioctl)
        monkeypatch.setattr(door, "poll", self.fake.poll)
        self.kernel = self.door = door
        self.dm = DmClient(door, nodes=FakeNodes())

    def disk(self, mib: int, *, block: int = 512) -> tuple[int, int]:
        numbers = 7, len(self.fake.disks)
        self.fake.blocks[abi.dev_number(*numbers)] = block // 512
        self.fake.disks[abi.dev_number(*numbers)] = mib * 2048
        return numbers

    def claim(self, numbers: tuple[int, int]) -> None:
        self.fake.busy.add(abi.dev_number(*numbers))

    def unclaim(self, numbers: tuple[int, int]) -> None:
        self.fake.busy.clear()

    def hold(self, name: str) -> None:
        self.fake.hold(name)

    def release(self, name: str) -> None:
        self.fake.release(name)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    rig = ShimRig(monkeypatch)
    yield rig
    rig.door.close()


class TestThroughBytes(DmConformance):
    """The suite, every request and reply packed and unpacked."""


def test_buffers_grow_until_the_reply_fits(rig: ShimRig) -> None:
    with rig.dm.transaction():
        for i in range(2000):
            rig.dm.create(f"{i:04}", "u" * 100 + f"{i:04}")
    rig.shim.sizes.clear()
    assert len(rig.dm.names()) == 2000
    assert rig.shim.sizes == [312 + 16384 * 2**i for i in range(6)]


def test_commands_that_can_block_use_a_small_buffer(rig: ShimRig) -> None:
    """Up to 1024 bytes the interpreter lets other threads run while the kernel waits."""
    rig.dm.create("a")
    rig.dm.load("a", zeros())
    rig.dm.resume("a")
    rig.shim.sizes.clear()
    rig.dm.suspend(by_name("a"))
    rig.dm.resume(by_name("a"))
    rig.dm.rename(by_name("a"), "b")
    rig.dm.wait(by_name("b"), 0)
    rig.dm.remove(by_name("b"))
    assert set(rig.shim.sizes) == {1024}


def test_an_interrupted_call_is_made_again(rig: ShimRig) -> None:
    rig.shim.interrupt = 3
    rig.dm.create("a")
    assert [entry.name for entry in rig.dm.names()] == ["a"]


def test_secret_data_leaves_no_trace_in_buffers(rig: ShimRig) -> None:
    """Going in or coming out, taken or refused."""
    rig.dm.create("a")
    for offset, taken in (("1234", True), ("12345678", False)):
        data = wire.pack_table([line(0, 8, "linear", f"{words(rig.disk(1))} {offset}")])
        load = Request(abi.TABLE_LOAD, "a", flags=abi.SECURE_DATA, target_count=1, data=data)
        rig.dm.clear("a")
        if taken:
            rig.kernel.call(load)
        else:
            rig.fake._devices[0].settled = False
            assert refused(lambda load=load: rig.kernel.call(load)) == "EINVAL"
            continue
        flags = abi.SECURE_DATA | abi.STATUS_TABLE | abi.QUERY_INACTIVE_TABLE
        assert offset.encode() in rig.kernel.call(Request(abi.TABLE_STATUS, "a", flags=flags)).data
    assert rig.shim.buffers
    assert all(b"1234" not in buffer for buffer in rig.shim.buffers)


def test_replies_do_not_show_an_older_reply_s_data(rig: ShimRig) -> None:
    """Buffers are used again; a device without a table has no status, whatever lies in the buffer."""
    rig.dm.create("a")
    rig.dm.load("a", zeros())
    rig.dm.resume("a")
    rig.dm.create("b")
    assert rig.dm.table("a")
    assert rig.dm.table("b") == ()
    assert rig.dm.deps("b") == ()


@pytest.mark.parametrize("version", [(4, 0, 0), (4, 10, 0), (4, 20, 0), (4, 38, 0), (4, 44, 9)])
def test_an_older_kernel_serves_what_it_can(version: abi.Version) -> None:
    kernel = FakeKernel(version=version)
    dm = DmClient(kernel, nodes=FakeNodes())
    dm.create("a", "UUID-a")
    dm.create("other", "OTHER")
    dm.load("a", zeros())
    dm.resume("a")
    dm.suspend("a")
    dm.resume("a")
    dm.rename("a", "b")
    assert [(device.name, device.uuid) for device in dm.devices(prefix="UUID", tables=True, status=True)] == [
        ("b", "UUID-a")
    ]
    assert [entry.name for entry in dm.names(name="b")] == ["b"]
    assert dm.names(name="x") == ()
    assert dm.remove("b")


@pytest.mark.parametrize(
    ("request_", "version", "named"),
    [
        (Request(abi.DEV_ARM_POLL), (4, 35, 0), "command armpoll"),
        (Request(abi.LIST_VERSIONS), (4, 0, 0), "command targets"),
        (Request(abi.DEV_REMOVE, "a", flags=abi.DEFERRED_REMOVE), (4, 26, 0), "flag deferred-remove of remove"),
        (Request(abi.DEV_RENAME, "a", flags=abi.UUID), (4, 18, 0), "flag uuid of setuuid"),
        (Request(abi.DEV_SUSPEND, "a", flags=abi.SKIP_LOCKFS), (4, 4, 0), "flag skip-lockfs of resume"),
        (Request(abi.TABLE_STATUS, "a", flags=abi.QUERY_INACTIVE_TABLE), (4, 15, 0), "query-inactive-table"),
        (Request(abi.TABLE_STATUS, "a", flags=abi.IMA_MEASUREMENT), (4, 44, 0), "ima-measurement"),
    ],
)
def test_what_a_kernel_lacks_is_refused_by_name(request_: Request, version: abi.Version, named: str) -> None:
    kernel = FakeKernel(version=version)
    with pytest.raises(Unsupported, match=named):
        kernel.call(request_)
    assert kernel.calls == []
    check(request_, (4, 48, 0))


def test_a_flag_that_a_command_never_heeds_is_a_mistake() -> None:
    """The kernel would ignore it in silence."""
    with pytest.raises(ValueError, match="create does not take the flag readonly"):
        FakeKernel().call(Request(abi.DEV_CREATE, "a", flags=abi.READONLY))


def test_an_interface_of_another_generation_is_refused(rig: ShimRig) -> None:
    rig.fake.version = (5, 0, 0)
    with pytest.raises((NoDeviceMapper, KernelError)):
        rig.dm.version()


@pytest.mark.parametrize(
    ("request_", "code", "kind", "says"),
    [
        (Request(abi.DEV_REMOVE, "vg-lv"), errno.EBUSY, InUse, "remove vg-lv: it is in use (EBUSY)"),
        (
            Request(abi.DEV_CREATE, "vg-lv"),
            errno.EBUSY,
            AlreadyExists,
            "create vg-lv: a device of that name or UUID",
        ),
        (Request(abi.DEV_STATUS, uuid="LVM-x"), errno.ENXIO, NotFound, "info LVM-x: there is no such device"),
        (Request(abi.DEV_STATUS, dev=0xFE03), errno.ENXIO, NotFound, "info 254:3: there is no such device"),
        (Request(abi.TABLE_LOAD, "a"), errno.EINVAL, DmError, "load a: the kernel does not take that table"),
        (Request(abi.DEV_SUSPEND, "a"), errno.EINVAL, DmError, "resume a: it has no table"),
        (
            Request(abi.DEV_SUSPEND, "a", flags=abi.SUSPEND),
            errno.EIO,
            DmError,
            "suspend a: input/output error (EIO)",
        ),
        (Request(abi.LIST_DEVICES), errno.EACCES, NotPermitted, "list: permission denied"),
        (Request(abi.DEV_RENAME, "a"), errno.EBUSY, AlreadyExists, "rename a: the new name is taken"),
        (Request(abi.DEV_RENAME, "a", flags=abi.UUID), errno.EINVAL, DmError, "setuuid a: it has a UUID already"),
        (
            Request(abi.TABLE_STATUS, "a", flags=abi.STATUS_TABLE),
            errno.ENOMEM,
            DmError,
            "table a: the kernel has no",
        ),
    ],
)
def test_refusals_are_explained(request_: Request, code: int, kind: type[VmgrError], says: str) -> None:
    """Command, device, errno and meaning are in the message, and the values in the error."""
    error = explain(request_, code)
    assert isinstance(error, kind)
    assert isinstance(error, DmError)
    assert says in error.message
    assert error.request == request_
    assert error.errno == code
    assert error.errno_name == errno.errorcode[code]
    assert error.command == command_name(request_)
    assert error.exit_code == 5


def test_a_refusal_keeps_the_code_word_of_its_kind() -> None:
    assert explain(Request(abi.DEV_REMOVE, "a"), errno.EBUSY).code == InUse.code == DmInUse.code
    assert explain(Request(abi.DEV_STATUS, "a"), errno.ENXIO).code == NotFound.code
    assert explain(Request(abi.DEV_STATUS, "a"), errno.EIO).code == "device-mapper"


def test_a_listing_loads_nothing_heavy() -> None:
    """What only changes need is imported when something changes."""
    program = """
import sys
from vmgr.dm.client import DmClient
from vmgr.dm.kernel import IoctlKernel
DmClient.open()
heavy = {"ctypes", "pyudev", "subprocess", "select", "signal", "logging", "pathlib", "grp", "importlib.metadata",
         "vmgr.dm.udev", "vmgr.dm.nodes", "vmgr.dm.holders", "vmgr.dm.critical", "vmgr.testing.fake_kernel",
         "vmgr.dm.kmsg", "vmgr.dm.errnos", "vmgr.dm.names"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{program}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "[]"
