"""Devices: which there are, what they are called, which may be used, how they are read and recognised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vmgr.core.errors import ConfigError, DeviceError, NotFound, UsageError
from vmgr.core.ids import Uuid
from vmgr.core.units import Bytes
from vmgr.system import devices, devicesfile, filters, reader, usage
from vmgr.system.config import Config, load, parse
from vmgr.system.device_ids import Listed
from vmgr.system.devices import Device
from vmgr.system.devicesfile import DevicesFile, Entry, selection
from vmgr.system.filters import Filters, Patterns, content_refusal, has_partitions, translate
from vmgr.system.reader import DirectReader, GuardedReader, NoAnswer


def config(text: str = "", **more: str) -> Config:
    return Config([parse(text, "test")], system_dir="", **more)


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "preferred"),
    [
        (("/dev/dm-3", "/dev/mapper/luks"), "/dev/mapper/luks"),
        (("/dev/mapper/luks", "/dev/disk/by-id/x", "/dev/dm-3"), "/dev/mapper/luks"),
        (("/dev/disk/by-id/x", "/dev/sdb"), "/dev/sdb"),
        (("/dev/block/8:0", "/dev/dm-3"), "/dev/dm-3"),
        (("/dev/mapper/a-b", "/dev/a/b"), "/dev/a/b"),
        (("/dev/x/y", "/dev/sdb"), "/dev/sdb"),
        (("/dev/sdc", "/dev/sdb"), "/dev/sdb"),
    ],
)
def test_the_preferred_path_is_lvm2s(paths, preferred):
    """Anything before /dev/mapper, that before /dev/disk, that before /dev/dm-N, that before /dev/block."""
    device = Device(paths[0], 8, 0, aliases=paths)
    devices.choose_paths([device], config())
    assert device.path == device.aliases[0] == preferred


def test_preferred_names_of_lvm_conf_come_first():
    """The first pattern that matches decides."""
    device = Device("/dev/sdb", 8, 0, aliases=("/dev/sdb", "/dev/disk/by-id/a", "/dev/disk/by-path/b"))
    devices.choose_paths([device], config('devices/preferred_names=["by-path", "by-id"]'))
    assert device.aliases == ("/dev/disk/by-path/b", "/dev/disk/by-id/a", "/dev/sdb")
    with pytest.raises(ConfigError):
        devices.choose_paths([device], config('devices/preferred_names=["("]'))


def test_a_link_goes_before_a_node_of_the_same_depth(tmp_path):
    """Links exist for a reason."""
    (tmp_path / "node").write_text("")
    (tmp_path / "zlink").symlink_to("node")
    paths = (str(tmp_path / "node"), str(tmp_path / "zlink"))
    device = Device(paths[0], 8, 0, aliases=paths)
    devices.choose_paths([device], config(dev_dir=str(tmp_path)))
    assert device.path == paths[1]


def test_devices_without_a_node_are_not_there(tmp_path):
    """An empty device directory has no devices, whatever the kernel lists."""
    assert devices.from_kernel(config(dev_dir=str(tmp_path))) == []


def test_without_proc_there_is_an_error_that_says_so(tmp_path):
    """Not silently no devices."""
    with pytest.raises(DeviceError, match="partitions"):
        devices.from_kernel(config(f'global/proc="{tmp_path}"'))


def test_images_stand_for_devices(tmp_path):
    """Regular files can be scanned when they are named; other things cannot."""
    (tmp_path / "a").write_bytes(bytes(4096))
    (found,) = devices.from_paths([str(tmp_path / "a")])
    assert (found.major, found.size) == (-1, 4096)
    with pytest.raises(DeviceError):
        devices.from_paths(["/dev/null"])
    with pytest.raises(DeviceError):
        devices.from_paths([str(tmp_path / "none")])


# -- patterns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "path", "decision"),
    [
        (["a|.*|"], "/dev/sda", True),
        (["a|^/dev/sda$|", "r|.*|"], "/dev/sda", True),
        (["a|^/dev/sda$|", "r|.*|"], "/dev/sda1", False),
        (["r|/sd|", "a|.*|"], "/dev/sda", False),
        (["r/sd/"], "/dev/vda", None),
        (["a(loop[0-3])", "r{.*}"], "/dev/loop2", True),
        (["a(loop[0-3])", "r{.*}"], "/dev/loop7", False),
        (["r[sd[^a]]"], "/dev/sdb", False),
        (["r[sd[^a]]"], "/dev/sda", None),
        (["a|x{2}|"], "/dev/xx", None),
        (["a|x{2}|"], "/dev/x{2}", True),
        (["a|a\\.b|"], "/dev/axb", None),
        (["a|/(sda|sdb)$|"], "/dev/sdb", True),
    ],
)
def test_the_first_matching_pattern_decides(patterns, path, decision):
    """Accept, reject, or no opinion; patterns are found anywhere in the path unless they are anchored."""
    assert Patterns(patterns, "devices/filter").decide(path) is decision


@pytest.mark.parametrize("pattern", ["", "a", "x|y|", "a|y", "a|(|", "r|[|", "a|*|"])
def test_a_wrong_pattern_is_an_error_that_shows_one(pattern):
    """A filter that cannot be read must not let everything through."""
    with pytest.raises(ConfigError, match="devices/filter") as caught:
        Patterns([pattern], "devices/filter")
    assert '"a|^/dev/sd|"' in caught.value.hint


def test_a_name_that_is_accepted_saves_a_device_whose_other_name_is_rejected():
    """... and becomes the name that it is called by, as in LVM2."""
    patterns = Patterns(["a|by-id|", "r|.*|"], "devices/filter")
    assert patterns.accepted_path(("/dev/sdb", "/dev/disk/by-id/x")) == "/dev/disk/by-id/x"
    assert patterns.accepted_path(("/dev/sdb",)) is None
    assert Patterns(["r|sdc|"], "devices/filter").accepted_path(("/dev/sdb",)) == "/dev/sdb"


def test_translation_leaves_ordinary_patterns_alone():
    """What both dialects share is not touched."""
    assert translate(r"^/dev/(sd|vd)[a-z]+.*?$") == r"^/dev/(sd|vd)[a-z]+.*?$"


# -- filters --------------------------------------------------------------------------------------


def device(path: str = "/dev/sdb", major: int = 8, minor: int = 16, **more: object) -> Device:
    one = Device(path, major, minor, name=os.path.basename(path), size=1 << 30)
    for key, value in more.items():
        setattr(one, key, value)
    return one


BY_UDEV = 'devices/external_device_info_source="udev"'


@pytest.fixture(autouse=True)
def _majors(monkeypatch):
    """A machine that has these drivers, whatever the real one has."""
    majors = {7: "loop", 8: "sd", 9: "md", 11: "sr", 98: "ubd", 253: "device-mapper", 254: "virtblk", 259: "blkext"}
    monkeypatch.setattr(filters, "block_majors", lambda proc: majors)


@pytest.mark.parametrize(
    ("text", "made", "reason"),
    [
        ("", device(), ""),
        ("", device("/dev/sr0", 11, 0), "device type is unknown"),
        ('devices/types=["sr", 1]', device("/dev/sr0", 11, 0), ""),
        ("", device("/dev/ubda", 98, 0), ""),
        ('devices/filter=["r|sdb|"]', device(), "rejected by devices/filter"),
        (
            'devices/global_filter=["r|sdb|"] devices/filter=["a|.*|"]',
            device(),
            "rejected by devices/global_filter",
        ),
        ("", device(size=Bytes(1 << 20)), "too small"),
        ("devices/pv_min_size=600", device(size=Bytes(1 << 20)), ""),
        ("devices/pv_min_size=1", device(size=Bytes(1 << 20)), "too small"),
        ("", device("/dev/dm-0", 253, 0, dm_name="vg-lv", dm_uuid="LVM-" + "x" * 64), "is an LV"),
        ("devices/scan_lvs=1", device("/dev/dm-0", 253, 0, dm_name="vg-lv", dm_uuid="LVM-" + "x" * 64), ""),
        (
            "devices/scan_lvs=1",
            device("/dev/dm-0", 253, 0, dm_name="vg-lv-real", dm_uuid="LVM-" + "x" * 64 + "-real"),
            "part of an LV",
        ),
        (
            "devices/scan_lvs=1",
            device("/dev/dm-0", 253, 0, dm_name="vg-pvmove0", dm_uuid="LVM-" + "x" * 64),
            "part of an LV",
        ),
        ("", device("/dev/dm-0", 253, 0, dm_name="luks", dm_uuid="CRYPT-LUKS2-1"), ""),
        ("", device("/dev/dm-0", 253, 0, dm_name="luks", dm_uuid="CRYPT-TEMP-1"), "private device"),
        ("", device("/dev/dm-0", 253, 0, dm_name="plain", dm_uuid=""), ""),
        ("", device(udev={"ID_FS_TYPE": "mpath_member"}), "multipath component"),
        ("", device(udev={"DM_MULTIPATH_DEVICE_PATH": "1"}), "multipath component"),
        (BY_UDEV, device(udev={"ID_FS_TYPE": "linux_raid_member"}), "md component"),
        ("", device(udev={"ID_FS_TYPE": "linux_raid_member"}), ""),
        (BY_UDEV, device(udev={"ID_PART_TABLE_TYPE": "gpt", "DEVTYPE": "disk"}), "partitioned"),
        (BY_UDEV, device("/dev/sdb1", 8, 17, udev={"ID_PART_TABLE_TYPE": "gpt", "DEVTYPE": "partition"}), ""),
        (BY_UDEV, device("/dev/dm-0", 253, 0, dm_name="x", udev={"ID_PART_TABLE_TYPE": "dos"}), "partitioned"),
        ("", device(udev={"ID_FS_TYPE": "ext4"}), ""),
        (f"{BY_UDEV} devices/md_component_detection=0", device(udev={"ID_FS_TYPE": "linux_raid_member"}), ""),
    ],
)
def test_each_refusal_has_its_reason(text, made, reason):
    """Type, filter, size, volumes, other tools' devices, parts of arrays; all else may be used."""
    said = Filters(config(text)).refusal(made)
    assert (reason in said) if reason else said == ""


def test_a_list_of_devices_rules_out_the_patterns_and_all_others():
    """With a devices file or --devices the filters of lvm.conf do not count."""
    text = 'devices/filter=["r|.*|"]'
    assert Filters(config(text), listed={(8, 16)}).refusal(device()) == ""
    assert "devices file" in Filters(config(), listed=set()).refusal(device())
    assert "devices list" in Filters(config(), listed=set(), by_list=True).refusal(device())


def table(*entries: bytes) -> bytes:
    return bytes(446) + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa" + bytes(8192 - 512)


PARTITION = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (4096).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("head", "partitioned"),
    [
        (table(PARTITION), True),
        (table(b"\x80" + PARTITION[1:]), True),
        (table(), False),
        (table(b"\x12" + PARTITION[1:]), False),
        (bytes(8192), False),
        (b"", False),
    ],
)
def test_partition_tables_are_recognised_as_lvm2_does(head, partitioned):
    """A boot sector of a file system is no partition table; a table with a partition is."""
    assert has_partitions(head) is partitioned
    refusal = content_refusal(head, partitionable=True, md_detection=True)
    assert ("partitioned" in refusal) is partitioned
    assert content_refusal(head, partitionable=False, md_detection=True) == ""


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        (device("/dev/sdb", 8, 16), True),
        (device("/dev/sdb1", 8, 17), False),
        (device("/dev/vda", 254, 0), True),
        (device("/dev/dm-0", 253, 0, dm_name="luks"), True),
        (Device("/tmp/image", -1, 0), False),
    ],
)
def test_only_whole_disks_can_have_partitions(made, answer):
    """By the device's number, as LVM2 counts."""
    assert Filters(config()).partitionable(made) is answer


# -- reading --------------------------------------------------------------------------------------


@pytest.fixture(params=[DirectReader, lambda: GuardedReader(patience=10)], ids=["direct", "guarded"])
def any_reader(request):
    one = request.param()
    yield one
    one.close()


def image(path, size: int = 1 << 20) -> Device:
    path.write_bytes(bytes(n % 251 for n in range(size)))
    return Device(str(path), -1, 0)


@pytest.mark.parametrize(("offset", "length"), [(0, 131072), (512, 512), (5000, 10), (1048000, 4096), (2**21, 9)])
def test_a_reader_gives_what_is_there(any_reader, tmp_path, offset, length):
    """The bytes of the range as far as the device goes, and the device's size."""
    one = image(tmp_path / "a")
    (got,) = any_reader.read_many([(one, offset, length)])
    assert got == bytes(n % 251 for n in range(offset, max(offset, min(offset + length, 1 << 20))))
    assert one.size == 1 << 20


def test_a_reader_answers_for_each_device_by_itself(any_reader, tmp_path):
    """A device that cannot be opened is an error in its place, and the others are read."""
    good = image(tmp_path / "a")
    bad = Device(str(tmp_path / "none"), -1, 1)
    first, second, third = any_reader.read_many([(good, 0, 512), (bad, 0, 512), (good, 512, 512)])
    assert isinstance(first, bytes)
    assert "not found" in str(second)
    assert isinstance(third, bytes)


def test_a_helper_holds_no_device_that_it_has_read(tmp_path):
    """It may live on for a moment, or hang on another device: what it has read is not in use by that."""
    one, other = image(tmp_path / "a"), image(tmp_path / "b")
    guarded = GuardedReader(patience=10)
    guarded.read_many([(one, 0, 512), (other, 0, 512)])
    helpers = [helper.pid for helper in guarded._free]
    assert helpers
    held = {os.readlink(link) for pid in helpers for link in Path(f"/proc/{pid}/fd").iterdir()}
    assert not held & {one.path, other.path}
    guarded.close()


def test_a_reader_reads_more_than_its_memory_holds(any_reader, tmp_path, monkeypatch):
    """A text larger than the shared memory comes in parts."""
    monkeypatch.setattr(reader, "_ARENA", 8192)
    one = image(tmp_path / "a", 100_000)
    (got,) = any_reader.read_many([(one, 100, 90_000)])
    assert got == bytes(n % 251 for n in range(100, 90_100))


@pytest.fixture
def hung(tmp_path):
    """``hung(n)``: a device that does not answer. A pipe that nobody writes to stands for it: opening it waits."""
    made: list[str] = []

    def make(name: str) -> Device:
        device = Device(str(tmp_path / name), -1, 0)
        os.mkfifo(device.path)
        made.append(device.path)
        return device

    yield make
    for path in made:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # lets go whoever waits


def wake(device: Device) -> int:
    """Let the opening of a pipe go on; what reads it then gets an error, which is an answer."""
    return os.open(device.path, os.O_RDWR | os.O_NONBLOCK)


def test_a_device_that_does_not_answer_is_told_of_and_the_others_are_read(hung, tmp_path):
    one, good = hung("pipe"), image(tmp_path / "a")
    guarded = GuardedReader(patience=0.2)
    first, second, third = guarded.read_many([(good, 0, 512), (one, 0, 512), (good, 512, 512)])
    assert isinstance(first, bytes)
    assert isinstance(third, bytes)
    assert isinstance(second, NoAnswer)
    assert one.path in second.message
    guarded.close()


def test_devices_that_do_not_answer_are_asked_at_the_same_time(hung, tmp_path):
    """Ten of them take no longer than one: all are given up at the same moment, each with a helper of its own."""
    many, good = [hung(f"pipe{n}") for n in range(10)], image(tmp_path / "a")
    guarded = GuardedReader(patience=1.0)
    answers = guarded.read_many([*((one, 0, 512) for one in many), (good, 0, 512)])
    assert all(isinstance(answer, NoAnswer) for answer in answers[:-1])
    assert isinstance(answers[-1], bytes)
    asked = [guarded._stuck[one.path].begun for one in many]
    assert max(asked) - min(asked) < 1.0  # the last was asked before the first was given up
    guarded.close()


def test_a_device_that_does_not_answer_is_not_asked_by_a_second_helper(hung):
    one = hung("pipe")
    guarded = GuardedReader(patience=0.1)
    guarded.read_many([(one, 0, 512)])
    (helper,) = guarded._stuck.values()
    (again,) = guarded.read_many([(one, 0, 512)])
    assert isinstance(again, NoAnswer)
    assert guarded._stuck == {one.path: helper}
    guarded.close()


def test_a_device_that_answers_late_is_waited_for_and_read_again(hung, tmp_path):
    one, other = hung("pipe"), hung("other")
    guarded = GuardedReader(patience=0.1)
    guarded.read_many([(one, 0, 512), (other, 0, 512)])
    fd = wake(one)
    assert guarded.answered([one, other]) == [one]
    (late,) = guarded.read_many([(one, 0, 512)])
    assert "Illegal seek" in str(late)
    os.close(fd)
    guarded.close()


def test_the_next_reader_of_a_command_knows_who_did_not_answer(hung, tmp_path):
    """A command that looks again after a change does not wait once more."""
    one, good = hung("pipe"), image(tmp_path / "a")
    guarded = GuardedReader(patience=0.1)
    guarded.read_many([(one, 0, 512)])
    (helper,) = guarded._stuck.values()
    later = guarded.successor()
    assert later is not None
    first, second = later.read_many([(one, 0, 512), (good, 0, 512)])
    assert isinstance(first, NoAnswer)
    assert isinstance(second, bytes)
    assert later._stuck == {one.path: helper}
    later.close()
    assert GuardedReader().successor() is None


def test_an_interrupt_ends_the_wait_for_a_device_at_once(hung, tmp_path):
    one = hung("pipe")
    code = textwrap.dedent(f"""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from vmgr.system.devices import Device
        from vmgr.system.reader import GuardedReader
        guarded = GuardedReader(patience=0.1)
        device = Device({one.path!r}, -1, 0)
        guarded.read_many([(device, 0, 512)])
        try:
            print("waiting", flush=True)
            guarded.answered([device])
        except KeyboardInterrupt:
            guarded.close()
            print("interrupted")
    """)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "interrupted\n"


def test_a_helper_that_dies_is_replaced(tmp_path):
    """One answer is an error; the next device is read by another helper."""
    good = image(tmp_path / "a")
    guarded = GuardedReader(patience=10)
    guarded.read_many([(good, 0, 512)])
    (helper,) = guarded._free
    os.kill(helper.pid, 9)
    os.waitpid(helper.pid, 0)
    first, second = guarded.read_many([(good, 0, 512), (good, 512, 512)])
    assert isinstance(first, DeviceError)
    assert isinstance(second, bytes)
    guarded.close()


def test_without_processes_the_command_reads_by_itself(tmp_path, monkeypatch):
    """A limit on processes does not stop a scan."""

    def no_fork():
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    guarded = GuardedReader()
    (got,) = guarded.read_many([(image(tmp_path / "a"), 0, 512)])
    assert isinstance(got, bytes)
    guarded.close()


def test_a_helper_holds_nothing_of_the_command(tmp_path):
    """With a helper stuck for good, whoever waits for the command's output does not wait for the helper."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = textwrap.dedent(f"""
        from vmgr.system.devices import Device
        from vmgr.system.reader import GuardedReader
        guarded = GuardedReader(patience=0.1)
        (answer,) = guarded.read_many([(Device({str(pipe)!r}, -1, 0), 0, 512)])
        guarded.close()
        print(answer)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "has not answered" in done.stdout


def test_the_limit_can_be_switched_off(monkeypatch):
    """VMGR_READ_LIMIT=0 reads in the command itself; images always are read so."""
    disk = [Device("/dev/sda", 8, 0)]
    monkeypatch.delenv("VMGR_READ_LIMIT", raising=False)
    assert isinstance(reader.make_reader(disk), GuardedReader)
    assert isinstance(reader.make_reader([Device("/tmp/x", -1, 0)]), DirectReader)
    monkeypatch.setenv("VMGR_READ_LIMIT", "0")
    assert isinstance(reader.make_reader(disk), DirectReader)


# -- the devices file -----------------------------------------------------------------------------

LINES = """\
# LVM uses devices listed in this file.
VERSION=1.1.7
IDTYPE=sys_wwid IDNAME=naa.1 DEVNAME=/dev/sda PVID=abc
IDTYPE=sys_wwid IDNAME=naa.1 DEVNAME=/dev/sda2 PVID=. PART=2
IDTYPE=devname IDNAME=/dev/vdb DEVNAME=/dev/vdb PVID=def
IDTYPE=crypt_uuid IDNAME=CRYPT-LUKS2-1-x DEVNAME=. PVID=ghi
IDTYPE=loop_file IDNAME=/srv/a_b.img DEVNAME=/dev/loop0 PVID=.
nonsense
"""

IDS = {
    ("sda", "device/wwid"): "naa.1",
    ("sda2", "device/wwid"): "naa.1",
    ("sdb", "device/wwid"): "naa.2",
    ("loop0", "loop/backing_file"): "/srv/a b.img",
    ("dm-0", "dm/uuid"): "CRYPT-LUKS2-1-x",
}


@pytest.fixture
def machine(monkeypatch):
    """Devices with IDs in a sysfs that is not there."""
    monkeypatch.setattr(Device, "attribute", lambda self, name: IDS.get((self.name, name), ""))
    monkeypatch.setattr(Device, "partition_number", property(lambda self: 2 if self.name == "sda2" else 0))
    return [
        device("/dev/sda", 8, 0), device("/dev/sda2", 8, 2), device("/dev/sdb", 8, 16),
        device("/dev/vdb", 254, 16), device("/dev/vdc", 254, 32), device("/dev/loop0", 7, 0),
        device("/dev/dm-0", 253, 0, dm_name="luks", dm_uuid="CRYPT-LUKS2-1-x"),
    ]  # fmt: skip


@pytest.fixture
def system(tmp_path):
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "system.devices").write_text(LINES)
    return load(
        [f'devices/use_devicesfile=1 global/locking_dir="{tmp_path}/lock"'],
        environ={"LVM_SYSTEM_DIR": str(tmp_path)},
    )


ON_DISK = {"sda": "abc", "vdb": "def", "dm-0": "ghi"}


def listed(system, machine, on_disk=ON_DISK, search="auto"):
    """What the file allows on a machine with these physical volumes; None stands for a disk that cannot be read."""
    chosen = selection(system)
    assert chosen is not None
    assert chosen.file is not None

    def labels(some):
        return {device: pvid for device in some if (pvid := on_disk.get(device.name, "")) is not None}

    found = Listed(chosen.file, machine, refusal=lambda d: "", labels=labels, search=search)
    return found, {device.name for device in machine if device.number in found.numbers}


def test_listed_devices_are_recognised_by_what_does_not_change(system, machine):
    """WWID and partition number, backing file, device-mapper UUID, and the name where there is nothing else."""
    found, names = listed(system, machine)
    assert names == {"sda", "sda2", "vdb", "loop0", "dm-0"}
    assert (found.problems, found.fixes) == ([], [])


def test_entries_with_a_pv_and_no_device_are_named(system, machine):
    """The operator hears which PV the file has and the machine has not, and where it was."""
    found, names = listed(system, [d for d in machine if d.name not in ("vdb", "sda")])
    assert names == {"sda2", "loop0", "dm-0"}
    assert [problem.partition(" (")[0] for problem in found.problems] == [
        "devices file sys_wwid naa.1 PVID abc last seen on /dev/sda not found",
        "devices file devname /dev/vdb PVID def last seen on /dev/vdb not found",
    ]


@pytest.mark.parametrize("at_old_name", ["", "other"])
def test_a_pv_whose_entry_has_only_a_name_is_found_under_another(at_old_name, system, machine):
    """Whatever has the old name by now, a blank disk or another PV, is not used for it."""
    found, names = listed(system, machine, {**ON_DISK, "vdb": at_old_name, "vdc": "def"})
    assert names == {"sda", "sda2", "vdc", "loop0", "dm-0"}
    ((old, new),) = found.fixes
    assert str(old) == "IDTYPE=devname IDNAME=/dev/vdb DEVNAME=/dev/vdb PVID=def"
    assert str(new) == "IDTYPE=devname IDNAME=/dev/vdc DEVNAME=/dev/vdc PVID=def"
    (problem,) = found.problems
    assert "PVID def not found on device /dev/vdb, found on /dev/vdc" in problem


@pytest.mark.parametrize(("search", "where"), [("none", None), ("auto", None), ("all", "sdb")])
def test_where_it_is_looked_for_is_a_setting(search, where, system, machine):
    """By default not on devices that have a lasting ID: they would have been entered by that."""
    found, names = listed(system, machine, {**ON_DISK, "vdb": "", "sdb": "def"}, search)
    assert names == {"sda", "sda2", "loop0", "dm-0"} | ({where} if where else set())
    assert ("not found (connect" in found.problems[0]) == (where is None)


def test_a_pv_that_is_in_two_places_is_in_neither(system, machine):
    """Which is the copy nobody can tell."""
    machine.append(device("/dev/vdd", 254, 48))
    found, names = listed(system, machine, {**ON_DISK, "vdb": "", "vdc": "def", "vdd": "def"})
    assert names == {"sda", "sda2", "loop0", "dm-0"}
    (problem,) = found.problems
    assert "/dev/vdc, /dev/vdd" in problem


def test_a_device_that_cannot_be_read_keeps_its_entry(system, machine):
    """Not having been read is no sign of another PV."""
    found, names = listed(system, machine, {**ON_DISK, "vdb": None, "vdc": "def"})
    assert "vdb" in names
    assert "vdc" not in names
    assert found.fixes == []


def test_what_is_on_a_device_of_a_lasting_id_counts(system, machine):
    """Its PV and its name are brought up to date in the file; another PV than before is told."""
    machine[0].path = "/dev/sdz"
    found, _ = listed(system, machine)
    by_name = {device.name: device for device in machine}
    found.compare({by_name["sda"]: "new", by_name["dm-0"]: "ghi"}, lambda device: True)
    assert [str(new) for _, new in found.fixes] == [
        "IDTYPE=sys_wwid IDNAME=naa.1 DEVNAME=/dev/sdz PVID=new",
        "IDTYPE=crypt_uuid IDNAME=CRYPT-LUKS2-1-x DEVNAME=/dev/dm-0 PVID=ghi",
    ]
    assert found.problems == ["device /dev/sdz has PVID new (devices file abc)"]


def test_corrections_go_into_the_file_unless_it_is_locked(system, machine, tmp_path):
    """Nobody waits for that, and entries that others changed meanwhile stay theirs."""
    from fcntl import LOCK_EX, flock

    found, _ = listed(system, machine, {**ON_DISK, "vdb": "", "vdc": "def"})
    chosen = selection(system)
    assert chosen is not None
    assert chosen.file is not None
    path = tmp_path / "devices" / "system.devices"
    with open(chosen.file.lock_path, "w") as lock:
        flock(lock, LOCK_EX)
        assert not chosen.file.correct(found.fixes, command="vgs")
    assert path.read_text() == LINES
    assert chosen.file.correct(found.fixes, command="vgs")
    text = path.read_text()
    assert "VERSION=1.1.8\n" in text
    assert "IDTYPE=devname IDNAME=/dev/vdc DEVNAME=/dev/vdc PVID=def\n" in text
    assert text.count("IDTYPE=") == 5
    assert not chosen.file.correct(found.fixes, command="vgs")


def test_without_the_file_or_the_setting_there_is_no_list(system, tmp_path):
    """Also --devicesfile ''; a name with a slash is refused."""
    assert selection(system, devices_file="") is None
    assert selection(system, devices_file="other", making=True) is None
    assert selection(config()) is None
    with pytest.raises(UsageError):
        selection(system, devices_file="../x")


def test_a_file_that_is_named_and_not_there_is_refused(system):
    """Without it every device would be used."""
    with pytest.raises(NotFound, match="devices file not found"):
        selection(system, devices_file="other")


def test_devices_by_name_are_found_by_any_of_their_names(tmp_path):
    """--devices takes what the user types."""
    real = [d for d in devices.from_kernel(config()) if d.major >= 0]
    if not real:
        pytest.skip("expected: no block device with a node on this machine")
    link = tmp_path / "link"
    link.symlink_to(real[0].path)
    chosen = selection(config(), devices=(str(link), "/dev/nonesuch"))
    assert chosen is not None
    assert chosen.by_list
    assert chosen.named(real) == {real[0].number}
    assert chosen.absent(real) == ("/dev/nonesuch",)


def test_changing_the_file_keeps_the_rest(system, machine, tmp_path):
    """New PVs are entered by their best ID, removed ones lose their PVID, the version counts up."""
    file = selection(system).file
    by_name = {d.name: d for d in machine}
    pv = Uuid("n" * 32)
    file.change(add=[(by_name["sdb"], pv), (by_name["vdc"], pv)], remove=[by_name["sda"]], command="pvcreate")
    lines = (tmp_path / "devices" / "system.devices").read_text().splitlines()
    assert "VERSION=1.1.8" in lines
    assert f"IDTYPE=sys_wwid IDNAME=naa.2 DEVNAME=/dev/sdb PVID={pv}" in lines
    assert f"IDTYPE=devname IDNAME=/dev/vdc DEVNAME=/dev/vdc PVID={pv}" in lines
    assert "IDTYPE=sys_wwid IDNAME=naa.1 DEVNAME=/dev/sda PVID=." in lines
    assert "IDTYPE=sys_wwid IDNAME=naa.1 DEVNAME=/dev/sda2 PVID=. PART=2" in lines
    assert os.listdir(tmp_path / "devices") == ["system.devices"]


def test_a_file_of_a_newer_program_is_not_changed(system, machine, tmp_path):
    """Nothing is lost that this program does not know."""
    path = tmp_path / "devices" / "system.devices"
    path.write_text(LINES.replace("VERSION=1.", "VERSION=2."))
    before = path.read_text()
    with pytest.raises(Exception, match="newer program"):
        selection(system).file.change(remove=[machine[0]], command="pvremove")
    assert path.read_text() == before


def test_another_hosts_file_is_told(tmp_path):
    """A cloned disk brings the file of the machine that it came from."""
    path = tmp_path / "f"
    path.write_text("SYSTEMID=other\n")
    file = DevicesFile(str(path), str(tmp_path / "lock" / "D_f"), system_id="this")
    file.read()
    assert "'other'" in file.problems[0]


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("sda", ("sys_wwid", "naa.1")),
        ("vdc", ("devname", "/dev/vdc")),
        ("loop0", ("loop_file", "/srv/a_b.img")),
        ("dm-0", ("crypt_uuid", "CRYPT-LUKS2-1-x")),
    ],
)
def test_the_most_lasting_id_is_taken(machine, name, best):
    """As lvmdevices chooses."""
    (one,) = [d for d in machine if d.name == name]
    assert devicesfile.best_id(one) == best


def test_an_entry_is_written_as_it_is_read():
    """One line, with dots for what is not known."""
    assert str(Entry("sys_wwid", "naa.1", part=3)) == "IDTYPE=sys_wwid IDNAME=naa.1 DEVNAME=. PVID=. PART=3"


# -- who uses a device ----------------------------------------------------------------------------


def test_mounts_are_found_by_number(tmp_path, monkeypatch):
    """With blanks in the mount point, as the kernel writes them."""
    lines = ["36 35 8:16 / /mnt/my\\040disk rw - ext4 /dev/sdb rw", "37 35 8:17 / /other rw - ext4 /dev/sdb1 rw"]
    monkeypatch.setattr(usage, "_lines", lambda path: lines if path == "/proc/self/mountinfo" else [])
    assert usage.mounts((8, 16)) == ("/mnt/my disk",)
