"""The machine around on real mapped devices: what is scanned, what hangs, what breaks, what udev knows."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic

import pytest
from attrs import evolve

from tests.support.lab import run, with_and_without_udev
from tests.support.ondisk import TARGETS
from vmgr.core.errors import DeviceError, InUse, VmgrError
from vmgr.core.units import Bytes
from vmgr.core.view import SystemView
from vmgr.system import config as configuration
from vmgr.system import devices, topology, udevdb
from vmgr.system.archive import Archives
from vmgr.system.config import Config
from vmgr.system.disk import Disk
from vmgr.system.filters import Filters
from vmgr.system.identity import text_header
from vmgr.system.metadata import MetadataStore
from vmgr.system.reader import GuardedReader
from vmgr.system.scan import Scan
from vmgr.system.usage import holders, mounts, users

MakeDisk = Callable[[float], str]


@pytest.fixture
def config() -> Config:
    return configuration.load()


def look(config: Config, **more: object) -> SystemView:
    scan = Scan(config, TARGETS, **more)  # type: ignore[arg-type]
    try:
        return scan.view()
    finally:
        waiting = scan.close()
        if waiting is not None:  # for a device that has not answered, on behalf of the next look
            waiting.close()


def linear(name: str, disk: str, sectors: int, start: int = 0) -> str:
    run("dmsetup", "create", name, "--table", f"0 {sectors} linear {disk} {start}")
    return f"/dev/mapper/{name}"


@with_and_without_udev
def test_mapped_devices_that_are_no_volumes_are_physical_volumes(
    make_disk: MakeDisk, config: Config, udev: bool
) -> None:
    """They are found by their name in /dev/mapper, as lvm2 finds them; the disk below them is no PV of its own."""
    disk = make_disk(64)
    mapped = [linear("one", disk, 32768, 65536), linear("two-with-hyphen", disk, 32768, 98304)]
    run("vgcreate", "vg", *mapped)
    view = look(config)
    assert [pv.device for pv in view.pvs()] == mapped
    assert run("pvs", "--noheadings", "-opv_name").stdout.split() == mapped
    assert view.problems == ()


@with_and_without_udev
def test_volumes_are_not_scanned_unless_asked_for(make_disk: MakeDisk, udev: bool) -> None:
    """A PV inside of a volume (a guest's disk) stays the guest's, unless scan_lvs is set; helpers never are PVs."""
    disk = make_disk(128)
    run("vgcreate", "vg", disk)
    run("lvcreate", "-y", "-L", "32M", "-n", "guest", "vg")
    run("pvcreate", "-y", "--config", "devices/scan_lvs=1", "/dev/vg/guest")
    run("lvcreate", "-y", "-s", "-L", "8M", "-n", "snap", "vg/guest")
    for scan_lvs in (0, 1):
        text = f"devices/scan_lvs={scan_lvs}"
        ours = [pv.device for pv in look(configuration.load([text])).pvs()]
        theirs = run("pvs", "--noheadings", "-opv_name", "--config", text).stdout.split()
        assert ours == sorted(theirs)
        assert any("guest" in path or "snap" in path for path in ours) == bool(scan_lvs)


def test_a_suspended_device_does_not_hang_the_command(make_disk: MakeDisk, config: Config) -> None:
    """Reading it waits for ever: it is named, the other PVs are found. Later it is read again."""
    good, bad = make_disk(32), make_disk(32)
    run("vgcreate", "good", good)
    mapped = linear("stuck", bad, 32768, 32768)
    run("pvcreate", mapped)
    run("dmsetup", "suspend", "stuck")
    try:
        reader = GuardedReader(patience=0.5)
        view = look(config, reader=reader)
        assert [pv.device for pv in view.pvs()] == [good]
        assert any(mapped in problem and "not answered" in problem for problem in view.problems)
    finally:
        run("dmsetup", "resume", "stuck")
    assert [pv.device for pv in look(config).pvs()] == sorted([good, mapped])


def test_suspended_devices_are_passed_over_if_lvm_conf_says_so(make_disk: MakeDisk) -> None:
    """devices/ignore_suspended_devices: not even tried."""
    mapped = linear("stuck", make_disk(32), 65536)
    run("dmsetup", "suspend", "stuck")
    config = configuration.load(["devices/ignore_suspended_devices=1"])
    (device,) = [d for d in devices.discover(config) if d.path == mapped]
    assert Filters(config).refusal(device) == "device is suspended"
    run("dmsetup", "resume", "stuck")
    assert Filters(config).refusal(device) == ""


def test_a_device_that_gives_read_errors_is_named(make_disk: MakeDisk, config: Config) -> None:
    """And hides nothing else."""
    good = make_disk(32)
    run("pvcreate", good)
    run("dmsetup", "create", "broken", "--table", "0 65536 error")
    view = look(config)
    assert [pv.device for pv in view.pvs()] == [good]
    assert any("/dev/mapper/broken" in problem and "Input/output error" in problem for problem in view.problems)


@pytest.fixture
def flaky(make_disk: MakeDisk) -> tuple[str, str, str]:
    """(a disk, a mapped device over another disk, that disk); writes to the mapped one can be made to fail."""
    one, two = make_disk(32), make_disk(32)
    return one, linear("flaky", two, 65536), two


def _writes_fail(disk: str, fail: bool) -> None:
    table = f"0 65536 flakey {disk} 0 0 1800 1 error_writes" if fail else f"0 65536 linear {disk} 0"
    run("dmsetup", "reload", "flaky", "--table", table)
    run("dmsetup", "suspend", "--noflush", "flaky")
    run("dmsetup", "resume", "flaky")


def test_a_device_that_fails_writes_leaves_the_old_group(flaky: tuple[str, str, str], config: Config) -> None:
    """Before the commit: an error, and the old metadata stands. In it: one copy is enough, with a warning."""
    one, mapped, below = flaky
    run("vgcreate", "vg", one, mapped)
    view = look(config)
    old = view.group("vg").group
    new = evolve(old, seqno=old.seqno + 1, tags=("new",))

    def store() -> MetadataStore:
        header = lambda description: text_header(description, config)  # noqa: E731
        return MetadataStore(look(config).pvs(), TARGETS, header, Archives("", ""), command="test")

    writer = store()
    _writes_fail(below, True)
    with pytest.raises(DeviceError, match="Input/output error"):
        writer.write_text(new)
    writer.revert(new)
    writer.close()
    _writes_fail(below, False)
    assert look(config).group("vg").group == old

    writer = store()
    writer.write_text(new)
    writer.precommit(new)
    _writes_fail(below, True)
    writer.commit(new)
    writer.close()
    assert len(writer.warnings) == 1
    _writes_fail(below, False)
    view = look(config)
    assert view.group("vg").group.tags == ("new",)
    assert [view.group("vg").pvs[pv].device for pv in view.group("vg").outdated] == [mapped]
    assert run("vgs", "--noheadings", "-ovg_tags,vg_seqno", "vg").stdout.split() == ["new", str(new.seqno)]


def test_who_uses_a_device_is_said(make_disk: MakeDisk) -> None:
    """Mounted, below another device: the refusal names it."""
    disk = make_disk(32)
    mapped = linear("used", disk, 65536)
    number = devices.device_number(disk)
    assert number is not None
    assert holders(number) == ("used",)
    with pytest.raises(InUse, match="it is used by used"):
        Disk.open(disk, write=True, exclusive=True)
    run("mkfs.ext4", "-q", mapped)
    os.makedirs("/tmp/my mount", exist_ok=True)
    run("mount", mapped, "/tmp/my mount")
    try:
        assert users(mapped) == ("it is mounted on /tmp/my mount",)
        mounted = devices.device_number(mapped)
        assert mounted is not None
        assert mounts(mounted) == ("/tmp/my mount",)
        with pytest.raises(InUse, match="mounted on /tmp/my mount"):
            Disk.open(mapped, write=True, exclusive=True)
    finally:
        run("umount", "/tmp/my mount")
    Disk.open(mapped, write=True, exclusive=True).close()


@pytest.mark.udev
def test_udev_gives_links_and_what_lies_on_a_device(make_disk: MakeDisk, config: Config) -> None:
    """Through pyudev: all names of a device, and the signature that udev's rules found."""
    mapped = linear("fs", make_disk(32), 65536)
    run("mkfs.ext4", "-q", mapped)
    run("udevadm", "trigger", "--settle", "--name-match", mapped)
    assert udevdb.running()
    (plain,) = [d for d in devices.discover(config) if d.path == mapped]
    assert plain.udev is None
    (known,) = [d for d in devices.discover(config, detail=True) if d.path == mapped]
    assert udevdb.signature(known) == "ext4"
    assert any(alias.startswith("/dev/disk/by-uuid/") for alias in known.aliases)
    assert known.aliases[0] == mapped
    text = 'devices { obtain_device_list_from_udev=1 filter=["a|/dev/disk/by-id/dm-name-fs|", "r|.*|"] }'
    assert [other.device for other in look(configuration.load([text])).others] == ["/dev/disk/by-id/dm-name-fs"]


def test_without_udev_nothing_is_missed(make_disk: MakeDisk, config: Config) -> None:
    """Asked for detail where no udev runs, the kernel's list is all there is, and is enough."""
    mapped = linear("plain", make_disk(32), 65536)
    (found,) = [d for d in devices.discover(config, detail=True) if d.path == mapped]
    assert found.udev is None
    assert found.dm_name == "plain"


def test_a_large_zeroing_uses_the_device(make_disk: MakeDisk) -> None:
    """Megabytes are zeroed by the device's own command, and are zero."""
    disk = make_disk(16)
    with Disk.open(disk, write=True) as opened:
        opened.write(Bytes(1 << 20), b"\xff" * (8 << 20))
        opened.zero(Bytes(2 << 20), Bytes(4 << 20))
        opened.flush()
        assert opened.read(Bytes(2 << 20), Bytes(4 << 20)) == bytes(4 << 20)
        assert opened.read(Bytes(6 << 20), Bytes(16)) == b"\xff" * 16
        assert opened.read(Bytes((2 << 20) - 16), Bytes(16)) == b"\xff" * 16


def test_a_full_file_system_loses_no_backup(tmp_path: object) -> None:
    """On a real full one: an error that says so, the old backup whole, no half file."""
    os.makedirs("/tmp/small", exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "size=64k", "none", "/tmp/small")
    try:
        archives = Archives("/tmp/small/archive", "/tmp/small/backup")
        archives.write_backup("vg", b"old")
        with pytest.raises(VmgrError, match="No space left on device"):
            archives.write_backup("vg", bytes(128 << 10))
        with pytest.raises(VmgrError, match="No space left on device"):
            archives.write_archive("vg", bytes(128 << 10), now=0)
        assert archives.read(archives.backup_path("vg")) == b"old"
        assert os.listdir("/tmp/small/backup") == ["vg"]
        assert os.listdir("/tmp/small/archive") == []
    finally:
        run("umount", "/tmp/small")


@pytest.mark.parametrize(
    "shape", ["physblk_exp=3 lowest_aligned=7 opt_blks=3072", "sector_size=4096 opt_blks=384", "opt_blks=0"]
)
def test_data_starts_where_lvm2_puts_it(config: Config, shape: str) -> None:
    """On disks with large blocks, odd best sizes and an offset: alignment and offset are lvm2's."""
    before = set(os.listdir("/sys/block"))
    run("modprobe", "sd_mod")
    run("modprobe", "scsi_debug", "dev_size_mb=64", *shape.split())
    try:
        deadline = monotonic() + 60
        while not (new := set(os.listdir("/sys/block")) - before) and monotonic() < deadline:
            pass  # the kernel looks for disks in the background
        disk = f"/dev/{new.pop()}"
        while devices.device_number(disk) is None and monotonic() < deadline:
            pass
        run("pvcreate", "-y", disk)
        start = int(run("pvs", "--noheadings", "--units=s", "--nosuffix", "-ope_start", disk).stdout)
        (device,) = [d for d in devices.discover(config) if d.path == disk]
        align = topology.data_alignment(device, config)
        assert start == align + topology.data_alignment_offset(device, config)
        assert [pv.device for pv in look(config).pvs()] == [disk]
        with Disk.open(disk, write=True) as opened:
            assert opened.logical_block == topology.logical_block(device) == (4096 if "4096" in shape else 512)
    finally:
        run("modprobe", "-r", "scsi_debug")
