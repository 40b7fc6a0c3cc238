"""Bad input and failure: one message that says what to do, the right status, and nothing is changed."""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import lab, public
from tests.support.tools import kernel_tables, lvm, vmgr

MIB = 1 << 20
BAD_LINE, FAILED = 3, 5
PROGRAM = [sys.executable, "-m", "vmgr"]


class Scene:
    """A group ``tank`` of disks a and b, with ``tank/data`` (16 MiB) and its snapshot ``tank/snap``; a disk c."""

    def __init__(self, make_disk: Callable[[float], str]) -> None:
        self.disks = {name: make_disk(64) for name in "abc"}
        self.make_disk = make_disk
        vmgr("vgcreate", "tank", self.disks["a"], self.disks["b"])
        vmgr("lvcreate", "-L16m", "-n", "data", "tank")
        vmgr("lvcreate", "-s", "-L8m", "-n", "snap", "tank/data")

    def add(self, name: str, size: float) -> str:
        """Another disk."""
        self.disks[name] = self.make_disk(size)
        return self.disks[name]

    def written(self) -> dict[str, str]:
        """What the start of each disk holds: labels, headers, and all texts that fit there."""
        found = {}
        for name, path in self.disks.items():
            if os.path.exists(path):
                found[name] = hashlib.sha256(lab.read_at(path, 0, min(MIB, lab.sectors(path) * 512))).hexdigest()
        return found

    def refused(self, line: str, status: int, *words: str, stdin: str | None = None) -> str:
        """Run a command that must fail with ``status``, say all of ``words``, and leave the disks as they are."""
        before = self.written()
        done = vmgr(*shlex.split(line.format(**self.disks)), status=None, stdin=stdin)
        told = f"{line}: status {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == status, told
        assert done.stdout == "", told
        for word in words:
            assert word.format(**self.disks) in done.stderr, told
        assert "internal error" not in done.stderr, told
        assert "fault in vmgr" not in done.stderr, told
        assert self.written() == before, f"{told}\nsomething was written"
        return done.stderr


@pytest.fixture
def scene(make_disk: Callable[[float], str]) -> Iterator[Scene]:
    """The scene; afterwards the kernel has what it had before."""
    scene = Scene(make_disk)
    tables = kernel_tables()
    yield scene
    assert kernel_tables() == tables


@pytest.fixture
def plain(make_disk: Callable[[float], str]) -> Scene:
    """The scene, for tests that also change something."""
    return Scene(make_disk)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """``mount(device)``: an ext4 file system made there, and mounted until the test ends."""
    place = tmp_path / "mount"
    place.mkdir()

    def make(device: str) -> None:
        lab.run("mkfs.ext4", "-q", device)
        # Read-only, and without its journal: nothing but vmgr could write to the device from here on.
        lab.run("mount", "-o", "ro,noload", device, str(place))

    yield make
    if os.path.ismount(place):
        lab.run("umount", str(place))


# -- what is written on the command line ----------------------------------------------------------


def test_sizes(scene: Scene) -> None:
    cannot = {
        "-L 5q": "'5q'", "-L ''": "''", "-L 1.5.3g": "'1.5.3g'", "-L nan": "'nan'", "-L 1e3m": "'1e3m'",
        "-L -5m": "negative", "-l -3": "negative", "-L 0": "zero", "-l 0": "zero", "-l abc": "'abc'",
        "-l 5%BOGUS": "%FREE", "-L 99999999999999999999g": "too large", "-L 16m -l 3": "exclude each other",
        "": "needs --size or --extents",
    }  # fmt: skip
    for words, said in cannot.items():
        scene.refused(f"lvcreate {words} -n x tank", BAD_LINE, said)
    scene.refused("lvcreate -L 10e -n x tank", FAILED, "too large", "larger extents")
    fits_not = scene.refused("lvcreate -L 200m -n x tank", FAILED, "insufficient free space", "96.00 MiB")
    assert "{a}: 9 free".format(**scene.disks) in fits_not
    scene.refused("lvextend -L -4m tank/data", BAD_LINE, "lvreduce")
    scene.refused("lvextend -L 4m tank/snap", FAILED)
    scene.refused("lvreduce -y -l +3 tank/snap", BAD_LINE, "lvextend")
    scene.refused("lvreduce -y -L 1g tank/snap", FAILED)
    scene.refused("lvresize tank/data", BAD_LINE, "-L +1g")
    scene.refused("lvcreate -s -n x tank/data", FAILED, "how large")
    scene.refused("lvcreate -i 3 -l 6 -n x tank", FAILED, "physical volumes (2)")
    scene.refused("lvcreate -i 2 -I 3k -l 6 tank", BAD_LINE, "power of 2")
    scene.refused("lvcreate -s -c 3k -l 5 tank/data", BAD_LINE, "power of 2")
    scene.refused("lvcreate -l 3 tank {a}:9-5", FAILED, "0 to 14")
    scene.refused("lvcreate -l 3 tank {c}", FAILED, 'not found in volume group "tank"')
    scene.refused("vgcreate -s 3k new {c}", FAILED, "power of 2")
    scene.refused("pvresize -y --setphysicalvolumesize 8m {a}", FAILED, "volumes lie on extents up to 5")
    scene.refused("pvresize --setphysicalvolumesize 16m {a}", FAILED, "[y/n]", "--yes", stdin="n\n")
    scene.refused("pvresize --setphysicalvolumesize 1t {a}", FAILED, "64.00 MiB")


def test_names(scene: Scene) -> None:
    for name in ("..", ".", "''", "-x", "snapshot1", "pvmove0", "x_mlog", "x_tdata", "x" * 130, "'spa ce'", "ü"):
        scene.refused(f"lvcreate -l1 -n {name} tank", BAD_LINE)
    scene.refused("lvcreate -l1 -n data tank", FAILED, "already exists", "another name")
    scene.refused("lvrename tank data snap", FAILED, "already exists")
    scene.refused("lvrename tank data data", BAD_LINE, "differ")
    scene.refused("lvrename tank data pvmove0", BAD_LINE, "reserved")
    scene.refused("lvrename tank nix x", FAILED, 'failed to find logical volume "tank/nix"', "lvs -a tank")
    for name in ("a/b", ".", "x" * 130):
        scene.refused(f"vgcreate {name} {{c}}", BAD_LINE)
    scene.refused("vgcreate tank {c}", FAILED, "already exists")
    scene.refused("vgcreate mapper {c}", FAILED, "/dev/mapper already exists")
    scene.refused("vgrename tank tank", FAILED, "differ")
    for line in ("lvs nix", "vgs nix", "lvcreate -l1 nix", "vgremove -y nix", "vgchange -ay nix", "vgck nix"):
        scene.refused(line, FAILED, 'volume group "nix" not found', "vgs lists")
    for line in ("lvremove -y tank/nix", "lvchange -an tank/nix", "lvextend -l+1 tank/nix", "lvdisplay tank/nix"):
        scene.refused(line, FAILED, 'logical volume "tank/nix"', "lists its volumes")
    scene.refused("vgcfgrestore nix", FAILED, "no backup of volume group nix", "--list nix")
    scene.refused("vgcfgrestore -f /etc/passwd tank", FAILED, "/etc/passwd is not a backup")
    scene.refused("lvcreate -s -l1 tank/snap", FAILED, "snapshots of snapshots")
    scene.refused("lvconvert --merge tank/data", FAILED, "the name of a snapshot")


# -- devices --------------------------------------------------------------------------------------


def test_devices(scene: Scene, mount: Callable[[str], None]) -> None:
    scene.add("tiny", 1)
    for command in ("pvcreate -y", "vgcreate -y new", "vgextend -y tank"):
        scene.refused(f"{command} /dev/nix", FAILED, "no device found for /dev/nix", "lsblk")
        scene.refused(f"{command} /etc/passwd", FAILED, "not a block device")
        scene.refused(f"{command} {{tiny}}", FAILED, "too small", "2 MiB")
        scene.refused(f"{command} {{a}}", FAILED, 'volume group "tank"', "vgreduce tank {a}")
        scene.refused(f"{command} /dev/tank/data", FAILED, "is an LV", "scan_lvs")
    scene.refused("vgcreate new {c} {c}", FAILED, "duplicate device name", "once")
    scene.refused("pvremove {a}", FAILED, "used by VG tank")
    scene.refused("pvremove -ff {a}", FAILED, "[y/n]", "--yes")
    scene.refused("pvremove {c}", FAILED, "no PV found on device")
    scene.refused("vgreduce tank {c}", FAILED, 'not found in volume group "tank"')
    scene.refused("vgreduce tank {a}", FAILED, "still in use", "data, snap")
    mount(scene.disks["c"])
    lab.run("sync")
    for command in ("pvcreate -y", "vgcreate -y new", "vgextend -y tank"):
        scene.refused(f"{command} {{c}}", FAILED, "mounted on", "unmount")


def test_a_file_system_is_wiped_only_after_a_yes(plain: Scene) -> None:
    lab.run("mkfs.ext4", "-q", plain.disks["c"])
    for command in ("pvcreate", "vgcreate new", "vgextend tank"):
        plain.refused(f"{command} {{c}}", FAILED, "ext4 signature", "[y/n]", "--yes")
        plain.refused(f"{command} {{c}}", FAILED, "not wiping", stdin="n\n")
    vmgr("vgextend", "tank", plain.disks["c"], stdin="y\n")
    lvm("vgck", "tank")
    assert lab.run("blkid", "-o", "value", "-s", "TYPE", "-p", plain.disks["c"]).stdout.strip() == "LVM2_member"


# -- states of groups -----------------------------------------------------------------------------


def test_an_exported_group(scene: Scene) -> None:
    lvm("vgcreate", "gone", scene.disks["c"])
    lvm("vgexport", "gone")
    for line in (
        "lvcreate -l1 gone", "vgremove -y gone", "vgchange -ay gone", "vgchange --addtag x gone", "lvs gone",
        "vgreduce gone {c}", "pvchange -xn {c}", "pvresize {c}",
    ):  # fmt: skip
        scene.refused(line, FAILED, "exported", "vgimport")
    scene.refused("pvcreate -y {c}", FAILED, 'volume group "gone"')
    vmgr("vgchange", "-ay")
    vmgr("vgck")
    assert "gone" not in vmgr("lvs").stdout
    assert "gone" in vmgr("vgs").stdout


def test_a_group_of_another_host(scene: Scene) -> None:
    lvm("vgcreate", "--systemid", "other", "gone", scene.disks["c"])
    for line in (
        "lvcreate -l1 gone", "vgremove -y gone", "vgchange -ay gone", "vgs gone", "lvs gone", "vgrename gone g",
        "pvresize {c}", "vgck gone",
    ):  # fmt: skip
        scene.refused(line, FAILED, "another host", "'other'", "lvmsystemid(7)")
    # Its disk is not free, either.
    for line in ("pvcreate -y {c}", "pvremove -y {c}", "vgcreate -y new {c}", "vgextend -y tank {c}"):
        scene.refused(line, FAILED, "of another host")
    vmgr("vgchange", "-ay")
    assert "gone" not in vmgr("vgs").stdout
    assert "gone" in vmgr("vgs", "--foreign").stdout
    ours = ("--config", 'global/system_id_source="lvmlocal" local/system_id="other"')
    vmgr("lvcreate", "-an", "-l1", "gone", *ours)


def test_a_group_with_a_physical_volume_missing(loops: lab.Loops, scene: Scene) -> None:
    lost = scene.add("d", 32)
    vmgr("vgcreate", "part", scene.disks["c"], lost)
    vmgr("lvcreate", "-an", "-l2", "-n", "x", "part", lost)
    loops.remove(lost)
    for line in ("lvcreate -l1 part", "lvextend -l+1 part/x", "lvrename part x y", "vgreduce part {c}"):
        scene.refused(line, FAILED, "missing PV", "missing", "vgreduce --removemissing")
    vmgr("vgchange", "--addtag", "x", "part")
    scene.refused("lvchange -ay part/x", FAILED, "refusing activation", "connect its device")
    scene.refused("vgreduce --removemissing part", FAILED, "part: x", "--force")
    assert "wz-pn-" in vmgr("vgs", "part").stdout
    vmgr("vgreduce", "--removemissing", "--force", "-y", "part")
    lvm("vgck", "part")


def test_an_origin_does_not_come_up_with_a_store_that_is_marked_as_missing(scene: Scene) -> None:
    """The disk with the snapshot's store is back, and what it holds is older than the rest."""
    store = scene.add("d", 32)
    vmgr("vgcreate", "part", scene.disks["c"], store)
    vmgr("lvcreate", "-l2", "-n", "other", "part", scene.disks["c"])
    vmgr("lvcreate", "-l2", "-n", "x", "part", scene.disks["c"])
    vmgr("lvcreate", "-s", "-l2", "-n", "s", "part/x", store)
    vmgr("vgchange", "-an", "part")
    vmgr("lvchange", "--addtag", "t", "part/x", "--devices", scene.disks["c"])
    for volume in ("x", "s"):
        scene.refused(
            f"lvchange -ay part/{volume}", FAILED, f"refusing activation of part/{volume}", "restoremissing part"
        )
    assert "1 logical volume" in vmgr("vgchange", "-ay", "part", status=FAILED).stderr
    vmgr("vgextend", "--restoremissing", "part", store)
    assert "3 logical volume" in vmgr("vgchange", "-ay", "part").stderr
    vmgr("vgremove", "-f", "-y", "part")


# -- what is in use -------------------------------------------------------------------------------


def test_a_mounted_volume(scene: Scene, mount: Callable[[str], None]) -> None:
    mount("/dev/tank/data")
    for line in ("lvremove -y tank/data", "lvchange -y -an tank/data", "vgchange -an tank", "vgremove -y tank"):
        said = scene.refused(line, FAILED, "tank/data contains a filesystem in use", "mounted on", "unmount")
        assert said.count("in use") == 1


def test_a_volume_that_a_program_or_another_device_has_open(plain: Scene) -> None:
    vmgr("lvcreate", "-L8m", "-n", "held", "tank")
    with open("/dev/tank/held", "rb"):
        plain.refused("lvremove -y tank/held", FAILED, "tank/held in use", f"open in process {os.getpid()}")
    lab.run("dmsetup", "create", "above", "--table", "0 8 linear /dev/tank/held 0")
    try:
        plain.refused("vgchange -an tank", FAILED, "tank/held is used by another device", "device above")
    finally:
        lab.run("dmsetup", "remove", "above")
    vmgr("lvremove", "-y", "tank/held")


def test_a_reduction_asks_only_while_the_volume_is_active(plain: Scene) -> None:
    vmgr("lvcreate", "-L8m", "-n", "other", "tank")
    plain.refused("lvreduce -L4m tank/other", FAILED, "active logical volume", "[y/n]", "--yes")
    vmgr("lvchange", "-an", "tank/other")
    done = vmgr("lvreduce", "-L4m", "tank/other")
    assert "[y/n]" not in done.stderr


def test_a_refresh_leaves_everything_as_it_is(scene: Scene, mount: Callable[[str], None]) -> None:
    mount("/dev/tank/data")
    before = scene.written()
    for words in (["lvchange", "tank/data"], ["lvchange", "tank"], ["vgchange"], ["vgchange", "tank"]):
        done = vmgr(*words, "--refresh")
        assert done.stderr == ""
    assert scene.written() == before


def test_a_deactivated_group_may_be_activated_by_itself_again(plain: Scene) -> None:
    online = Path("/run/lvm/vgs_online/tank")
    online.parent.mkdir(parents=True, exist_ok=True)
    online.touch()
    vmgr("vgchange", "-an", "--test", "tank")
    assert online.exists()
    vmgr("vgchange", "-an", "tank")
    assert not online.exists()


# -- interruptions --------------------------------------------------------------------------------


def test_ctrl_c_at_a_question_changes_nothing(scene: Scene) -> None:
    before = scene.written()
    with subprocess.Popen(
        [*PROGRAM, "lvremove", "tank/data"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        while "[y/n]" not in said:
            said += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        said += process.communicate()[1]
    assert process.returncode == FAILED
    assert "nothing was changed" in said
    assert "Traceback" not in said
    assert scene.written() == before


def merging(plain: Scene) -> bytes:
    """Let a merge of ``tank/snap`` be due when ``tank/data`` comes up next; what must be there then."""
    old = lab.pattern(1, 2 * MIB)
    vmgr("lvremove", "-y", "tank/snap")
    lab.write_at("/dev/tank/data", 0, old)
    vmgr("lvcreate", "-s", "-L8m", "-n", "snap", "tank/data")
    lab.write_at("/dev/tank/data", 0, lab.pattern(2, 2 * MIB))
    vmgr("vgchange", "-an", "tank")
    vmgr("lvconvert", "--merge", "tank/snap")
    return old


def test_the_end_of_a_merge_is_written_down_by_poll_and_by_nothing_else_that_says_so(plain: Scene) -> None:
    old = merging(plain)
    vmgr("vgchange", "-ay", "--poll", "n", "tank")
    assert lab.read_at("/dev/tank/data", 0, 2 * MIB) == old
    lab.until(
        lambda: " snapshot-merge " not in lab.run("dmsetup", "status", "tank-data").stdout or merged(), "the merge"
    )
    assert "snap" in vmgr("lvs", "-a", "tank").stdout
    vmgr("vgchange", "--poll", "y", "tank")
    assert "snap" not in vmgr("lvs", "-a", "tank").stdout
    assert set(kernel_tables()) == {"tank-data"}
    assert lab.read_at("/dev/tank/data", 0, 2 * MIB) == old


def merged() -> bool:
    words = lab.run("dmsetup", "status", "tank-data").stdout.split()
    return words[-2].split("/")[0] == words[-1]


@pytest.mark.parametrize("tool", [vmgr, lvm])
@pytest.mark.parametrize("active", [True, False])
def test_a_snapshot_whose_merge_failed_can_be_removed(
    make_disk: Callable[[float], str], tool, active: bool
) -> None:
    """The store can be read up to its first block of data, and not beyond."""
    disk, below = make_disk(64), make_disk(64)
    size = lab.sectors(below)
    lab.run("dmsetup", "create", "half", "--table", f"0 {size} linear {below} 0")
    only = ("--config", f'devices/filter=["r|^{below}$|"]')
    vmgr("vgcreate", "tank", disk, "/dev/mapper/half", *only)
    vmgr("lvcreate", "-Wn", "-L8m", "-n", "data", "tank", disk, *only)
    vmgr("lvcreate", "-s", "-L8m", "-n", "snap", "tank/data", "/dev/mapper/half", *only)
    lab.write_at("/dev/tank/data", 0, lab.pattern(1, 256 << 10))
    vmgr("vgchange", "-an", "tank", *only)
    vmgr("lvconvert", "--merge", "tank/snap", *only)
    options = ("--noheadings", "--units", "s", "--nosuffix", "-o", "pe_start")
    good = int(vmgr("pvs", *options, "/dev/mapper/half", *only).stdout) + 16
    lab.run("dmsetup", "suspend", "half")
    table = f"0 {good} linear {below} 0\n{good} {size - good} error\n"
    lab.run("dmsetup", "reload", "half", stdin=table)
    lab.run("dmsetup", "resume", "half")
    vmgr("lvchange", "-ay", "--poll", "n", "tank/data", *only)
    lab.until(lambda: "Merge failed" in lab.run("dmsetup", "status", "tank-data").stdout, "the merge to fail")
    if not active:
        vmgr("lvchange", "-an", "tank/data", *only)
    for act in ("-ay", "-an", "--refresh"):
        told = vmgr("lvchange", act, "tank/snap", *only, status=FAILED, stdin="n\n").stderr
        assert "snapshot tank/snap is being merged into tank/data" in told
        assert "use tank/data" in told
    told = vmgr("lvremove", "tank/snap", *only, status=FAILED, stdin="n\n").stderr
    assert "Removing tank/snap may leave tank/data inconsistent." in told
    done = tool("lvremove", "-y", "tank/snap", *only)
    assert 'Logical volume "snap" successfully removed' in done.stdout + done.stderr
    assert vmgr("lvs", "-a", "--noheadings", "-o", "lv_name", "tank", *only).stdout.split() == ["data"]
    assert {name for name in kernel_tables() if name.startswith("tank")} == ({"tank-data"} if active else set())
    vmgr("lvchange", "-ay", "tank/data", *only)
    vmgr("vgchange", "-an", "tank", *only)


def test_a_merge_that_is_asked_for_again_is_carried_on(plain: Scene) -> None:
    """As after a command that was killed between its commit and the devices; LVM2 refuses in all cases."""
    old = merging(plain)
    plain.refused("lvconvert --merge tank/snap", FAILED, "lvchange -ay tank/data")
    lab.run("lvm", "vgchange", "-ay", "--poll", "n", "tank")
    vmgr("vgchange", "--poll", "y", "tank")
    assert lab.read_at("/dev/tank/data", 0, 2 * MIB) == old
    assert lab.run("lvm", "lvconvert", "--merge", "tank/snap", check=False).returncode == FAILED
    # One that waits while its origin is open, and no longer is.
    vmgr("lvcreate", "-s", "-L8m", "-n", "snap", "tank/data")
    lab.write_at("/dev/tank/data", 0, lab.pattern(2, 2 * MIB))
    with open("/dev/tank/data", "rb"):
        vmgr("lvconvert", "--merge", "tank/snap")
        plain.refused("lvconvert --merge tank/snap", FAILED, "lvchange --refresh tank/data")
    seqno = vmgr("vgs", "--noheadings", "-o", "vg_seqno", "tank").stdout.strip()
    done = vmgr("lvconvert", "-b", "--merge", "tank/snap")
    assert "Merging of volume tank/snap started." in done.stdout + done.stderr
    lab.until(lambda: set(kernel_tables()) == {"tank-data"}, "the merge to end")
    assert lab.read_at("/dev/tank/data", 0, 2 * MIB) == old
    # One commit: the end of the merge. The request that was given again wrote nothing.
    assert int(vmgr("vgs", "--noheadings", "-o", "vg_seqno", "tank").stdout) == int(seqno) + 1


def test_ctrl_c_while_a_merge_is_waited_for_leaves_it_running(
    plain: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vmgr.outcome import Outcome
    from vmgr.services import conversion

    old = merging(plain)
    vmgr("vgchange", "-ay", "--poll", "n", "tank")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(conversion, "finish", lambda *_: (True, Outcome()))
        patched.setattr(conversion.time, "sleep", interrupt)
        done = vmgr("vgchange", "--poll", "y", "tank", status=FAILED)
    assert "the kernel goes on" in done.stderr
    assert "vgchange --poll y tank" in done.stderr
    vmgr("vgchange", "--poll", "y", "tank")
    assert set(kernel_tables()) == {"tank-data"}
    assert lab.read_at("/dev/tank/data", 0, 2 * MIB) == old


# -- the machine around ---------------------------------------------------------------------------


def test_output_that_nobody_takes(scene: Scene) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, "lvs"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == FAILED
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, "lvs"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_user_who_is_not_root_is_told_so(scene: Scene) -> None:
    for words in (["lvs"], ["lvcreate", "-l1", "tank"]):
        done = subprocess.run(
            [*public.program(), *words],
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == FAILED
        assert "as root" in done.stderr
        assert "Traceback" not in done.stderr


def test_an_archive_that_cannot_be_written_stops_the_change(scene: Scene, tmp_path: Path) -> None:
    lab.run("mount", "-t", "tmpfs", "-o", "size=16k", "none", str(tmp_path))
    try:
        for name in ("archive", "backup"):
            (tmp_path / name).mkdir()
        with open(tmp_path / "fill", "wb", buffering=0) as file:
            while _written(file.fileno()):
                pass
        config = f'backup/archive_dir="{tmp_path}/archive" backup/backup_dir="{tmp_path}/backup"'
        scene.refused(f"lvcreate -l1 tank --config '{config}'", FAILED, "No space left", "free some space", "-An")
        assert os.listdir(tmp_path / "archive") == []
    finally:
        lab.run("umount", str(tmp_path))


def _written(fd: int) -> bool:
    try:
        return os.write(fd, bytes(4096)) > 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def test_a_machine_without_device_mapper(scene: Scene) -> None:
    scene.refused("lvchange -ay --driverloaded n tank/data", FAILED, "device mapper", "-an")
    scene.refused("lvcreate -l1 --driverloaded n tank", FAILED, "device mapper", "-an")
    assert "data" in vmgr("lvs", "--driverloaded", "n", "tank").stdout
