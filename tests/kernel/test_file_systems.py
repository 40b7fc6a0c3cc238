"""What lies on a volume follows its size, or nothing changes: real file systems, swap, LUKS, their own tools."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.tools import lvm, vmgr
from vmgr.app import open_application
from vmgr.contents.job import Job
from vmgr.contents.superblocks import read_superblock
from vmgr.core.errors import Refused
from vmgr.core.requests import ResizeVolume
from vmgr.outcome import RunOptions
from vmgr.session import Silence

FAILED = 5
MIB = 1 << 20
DEVICE = "/dev/tank/data"
TOOLS = (
    "mkfs.ext4", "resize2fs", "mkfs.xfs", "xfs_growfs", "xfs_repair", "mkfs.btrfs", "btrfs", "cryptsetup", "mkswap",
)  # fmt: skip
FILE_SYSTEMS = ("ext4", "xfs", "btrfs")


@pytest.fixture(autouse=True)
def tools() -> None:
    missing = [
        name for name in TOOLS if not any(Path(d, name).exists() for d in ("/usr/sbin", "/usr/bin", "/sbin"))
    ]
    if missing:
        pytest.fail(f"{', '.join(missing)} missing; `tools/setup test` installs what the tests need", pytrace=False)


@pytest.fixture
def volume(make_disk: Callable[[float], str]) -> Iterator[Callable[[int], None]]:
    """Makes the volume tank/data of so many MiB."""
    vmgr("vgcreate", "tank", make_disk(1300))

    def make(size: int) -> None:
        vmgr("lvcreate", "-y", f"-L{size}m", "-n", "data", "tank")

    yield make
    subprocess.run(["swapoff", DEVICE], capture_output=True, check=False)
    subprocess.run(["cryptsetup", "close", "secret"], capture_output=True, check=False)


@pytest.fixture
def place(tmp_path: Path, volume: object) -> Iterator[str]:
    """A folder to mount on."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    yield str(folder)
    subprocess.run(["umount", folder], capture_output=True, check=False)


def make(kind: str, device: str = DEVICE) -> None:
    lab.run(f"mkfs.{kind}", "-q", device)


def size() -> int:
    """The volume's size in MiB."""
    return lab.sectors(DEVICE) // 2048


def fs_size(kind: str, device: str = DEVICE) -> int:
    """The content's size in MiB, as it is on the device."""
    os.sync()
    return int(read_superblock(device, kind).size) // MIB


def check(kind: str, device: str = DEVICE) -> None:
    """The file system's own check finds nothing wrong."""
    words = {"ext4": ("e2fsck", "-fn"), "xfs": ("xfs_repair", "-n"), "btrfs": ("btrfs", "check", "-p")}[kind]
    lab.run(*words, device)


def mounts() -> list[str]:
    """Where file systems on device-mapper devices are mounted."""
    return [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if "mapper" in line]


def active() -> str:
    """What the report says of the volume: ``active``, or nothing."""
    return vmgr("lvs", "--noheadings", "-olv_active", "tank/data").stdout.strip()


# -- growing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_it_grows_unmounted_and_mounted_and_the_mounts_are_as_before(
    kind: str, volume: Callable[[int], None], place: str
) -> None:
    volume(320)
    make(kind)
    done = vmgr("lvextend", "-y", "-r", "-L400m", "tank/data")
    assert "fsadm" not in done.stderr
    assert (size(), fs_size(kind)) == (400, 400)
    assert mounts() == []
    check(kind)
    lab.run("mount", DEVICE, place)
    vmgr("lvextend", "-r", "-L500m", "tank/data")
    assert mounts() == [place]
    lab.run("umount", place)
    assert (size(), fs_size(kind)) == (500, 500)
    check(kind)


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_what_must_be_mounted_is_not_where_that_is_declined_or_forbidden_and_nothing_changes(
    kind: str, volume: Callable[[int], None]
) -> None:
    volume(320)
    make(kind)
    asked = vmgr("lvextend", "-r", "-L400m", "tank/data", status=FAILED, stdin="n\n")
    assert f"mount {DEVICE} temporarily" in asked.stderr
    for mode in ("nochange", "offline"):
        done = vmgr("lvextend", "-r", "--fsmode", mode, "-L400m", "tank/data", status=FAILED)
        assert "must be mounted to be resized" in done.stderr
    assert (size(), fs_size(kind)) == (320, 320)
    vmgr("lvextend", "--fs", "resize", "--fsmode", "manage", "-L400m", "tank/data", stdin="")
    assert (size(), fs_size(kind)) == (400, 400)


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_plan_for_what_must_be_mounted_mounts_it_and_writes_nothing(
    kind: str, volume: Callable[[int], None]
) -> None:
    volume(320)
    make(kind)
    before = lab.run("sha256sum", DEVICE).stdout
    assert "temporarily" in vmgr("lvextend", "--test", "-r", "-L400m", "tank/data").stderr
    assert lab.run("sha256sum", DEVICE).stdout == before
    assert mounts() == []


def test_a_mount_that_fails_is_found_before_the_volume_grows(volume: Callable[[int], None], place: str) -> None:
    """The XFS of a copied disk has the UUID of one that is mounted: the kernel refuses to mount it."""
    volume(320)
    make("xfs")
    vmgr("lvcreate", "-y", "-L320m", "-n", "twin", "tank")
    lab.run("dd", f"if={DEVICE}", "of=/dev/tank/twin", "bs=4M", "conv=fsync")
    lab.run("mount", DEVICE, place)
    done = vmgr("lvextend", "-y", "-r", "-L400m", "tank/twin", status=FAILED)
    assert "mount failed with status" in done.stderr
    assert "the volume was not changed" in done.stderr
    planned = vmgr("lvextend", "--test", "-r", "-L400m", "tank/twin", status=FAILED)
    assert "mount failed with status" in planned.stderr
    assert lab.sectors("/dev/tank/twin") // 2048 == 320
    assert mounts() == [place]


def test_what_keeps_a_mounted_ext4_from_growing_is_found_before_the_volume_grows(
    volume: Callable[[int], None], place: str
) -> None:
    volume(40)
    make("ext4")
    lab.run("mount", "-o", "ro", DEVICE, place)
    assert "is mounted read-only" in vmgr("lvextend", "-r", "-L80m", "tank/data", status=FAILED).stderr
    lab.run("umount", place)
    lab.run("debugfs", "-w", "-R", "set_super_value state 3", DEVICE)  # clean, with errors
    lab.run("mount", DEVICE, place)
    assert "has errors" in vmgr("lvextend", "-r", "-L80m", "tank/data", status=FAILED).stderr
    lab.run("umount", place)
    assert (size(), fs_size("ext4")) == (40, 40)


def test_a_broken_file_system_is_found_before_the_volume_grows(volume: Callable[[int], None]) -> None:
    volume(40)
    make("ext4")
    lab.run("debugfs", "-w", "-R", "clri <2>", DEVICE)  # the root folder
    done = vmgr("lvextend", "-r", "-L80m", "tank/data", status=FAILED)
    assert "e2fsck failed with status" in done.stderr
    assert (size(), fs_size("ext4")) == (40, 40)


def test_a_file_system_smaller_than_its_volume_grows_to_it(volume: Callable[[int], None]) -> None:
    volume(40)
    make("ext4")
    vmgr("lvextend", "--fs", "ignore", "-L80m", "tank/data")
    assert (size(), fs_size("ext4")) == (80, 40)
    vmgr("lvextend", "-L80m", "tank/data", status=FAILED)
    vmgr("lvextend", "-r", "-L80m", "tank/data")
    assert (size(), fs_size("ext4")) == (80, 80)


@pytest.mark.parametrize("words", [("-r",), ("--fs", "resize")])
def test_without_anything_on_it_or_with_what_vmgr_does_not_know_nothing_changes(
    words: tuple[str, ...], volume: Callable[[int], None]
) -> None:
    volume(40)
    assert "no file system found" in vmgr("lvextend", *words, "-L80m", "tank/data", status=FAILED).stderr
    lab.run("mkfs.minix", DEVICE)
    assert "cannot make the minix" in vmgr("lvextend", *words, "-L80m", "tank/data", status=FAILED).stderr
    done = vmgr("lvreduce", "-y", "-L20m", "tank/data", status=FAILED)
    assert "takes is not known" in done.stderr
    assert size() == 40


def test_a_test_says_what_would_run_and_runs_nothing(volume: Callable[[int], None]) -> None:
    volume(80)
    make("ext4")
    done = vmgr("lvextend", "--test", "-r", "-L100m", "tank/data")
    assert f"e2fsck -f -p {DEVICE}, resize2fs {DEVICE}: run around the commit" in done.stderr
    assert "resize2fs" in vmgr("lvreduce", "--test", "-r", "-L40m", "tank/data").stderr
    assert "do not fit" in vmgr("lvreduce", "--test", "-r", "-L4m", "tank/data", status=FAILED).stderr
    assert (size(), fs_size("ext4")) == (80, 80)


# -- shrinking ------------------------------------------------------------------------------------


def test_a_volume_does_not_shrink_below_its_content_unless_that_is_ignored(
    volume: Callable[[int], None], place: str
) -> None:
    volume(400)
    for kind in FILE_SYSTEMS:
        make(kind) if kind == "ext4" else lab.run(f"mkfs.{kind}", "-q", "-f", DEVICE)
        for words in ((), ("-f",), ("--fs", "checksize"), ("-y",)):
            done = vmgr("lvreduce", *words, "-L320m", "tank/data", status=FAILED)
            assert "reaches beyond the new size" in done.stderr
        vmgr("lvchange", "-an", "tank/data")
        inactive = vmgr("lvreduce", "--fs", "checksize", "-L320m", "tank/data", status=FAILED)
        assert "reaches beyond the new size" in inactive.stderr
        assert active() == ""
        vmgr("lvchange", "-ay", "tank/data")
        lab.run("mount", DEVICE, place)
        assert "reaches beyond" in vmgr("lvreduce", "-y", "-L320m", "tank/data", status=FAILED).stderr
        lab.run("umount", place)
        assert (size(), fs_size(kind)) == (400, 400)
    vmgr("lvreduce", "-y", "--fs", "ignore", "-L320m", "tank/data")
    assert size() == 320


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_it_shrinks_before_its_volume_and_what_was_mounted_is_mounted_as_before(
    kind: str, volume: Callable[[int], None], place: str
) -> None:
    volume(400)
    make(kind)
    vmgr("lvreduce", "-y", "-r", "-L360m", "tank/data")
    assert (size(), fs_size(kind)) == (360, 360)
    lab.run("mount", "-o", "noatime,nodev", DEVICE, place)
    Path(place, "file").write_bytes(b"precious" * MIB)
    before = Path("/proc/self/mounts").read_text()
    vmgr("lvreduce", "-y", "-r", "-L320m", "tank/data")
    assert Path("/proc/self/mounts").read_text() == before
    assert Path(place, "file").read_bytes() == b"precious" * MIB
    lab.run("umount", place)
    assert (size(), fs_size(kind)) == (320, 320)
    check(kind)


def test_a_size_below_what_is_used_is_refused_and_the_mount_stays(
    volume: Callable[[int], None], place: str
) -> None:
    volume(80)
    make("ext4")
    lab.run("mount", DEVICE, place)
    Path(place, "file").write_bytes(os.urandom(40 * MIB))
    os.sync()
    done = vmgr("lvreduce", "-y", "-r", "-L40m", "tank/data", status=FAILED)
    assert "do not fit into 40.00 MiB" in done.stderr
    assert (size(), fs_size("ext4"), mounts()) == (80, 80, [place])
    with open(f"{place}/file", "rb"):  # busy: it cannot be unmounted
        busy = vmgr("lvreduce", "-y", "-r", "-L72m", "tank/data", status=FAILED)
    assert "umount failed" in busy.stderr
    assert (size(), fs_size("ext4"), mounts()) == (80, 80, [place])
    Path(place, "folder").mkdir()
    elsewhere = Path(place).parent / "elsewhere"
    elsewhere.mkdir()
    lab.run("mount", "--bind", f"{place}/folder", str(elsewhere))
    twice = vmgr("lvreduce", "-y", "-r", "-L72m", "tank/data", status=FAILED)
    assert f"is mounted on {place}, {elsewhere}" in twice.stderr
    lab.run("umount", str(elsewhere))
    forbidden = vmgr("lvreduce", "-r", "--fsmode", "nochange", "-L72m", "tank/data", status=FAILED)
    assert "must be unmounted" in forbidden.stderr


def test_xfs_does_not_shrink_and_btrfs_not_below_its_least(volume: Callable[[int], None]) -> None:
    volume(400)
    make("xfs")
    assert "does not shrink" in vmgr("lvreduce", "-y", "-r", "-L320m", "tank/data", status=FAILED).stderr
    lab.run("mkfs.btrfs", "-q", "-f", DEVICE)
    assert (
        "cannot be smaller than 256 MiB"
        in vmgr("lvreduce", "-y", "-r", "-L200m", "tank/data", status=FAILED).stderr
    )
    assert size() == 400


def test_a_snapshot_s_store_is_not_taken_for_what_is_on_the_snapshot(volume: Callable[[int], None]) -> None:
    volume(40)
    make("ext4")
    vmgr("lvcreate", "-y", "-s", "-L16m", "-n", "snap", "tank/data")
    done = vmgr("lvextend", "-r", "-L24m", "tank/snap")
    assert "is a snapshot" in done.stderr
    vmgr("lvreduce", "-y", "-L16m", "tank/snap")
    check("ext4", "/dev/tank/snap")


# -- swap and LUKS --------------------------------------------------------------------------------


def identity() -> str:
    return lab.run("blkid", "-p", "-o", "export", "-s", "UUID", "-s", "LABEL", DEVICE).stdout


def test_swap_keeps_uuid_and_label_and_is_in_use_again_with_its_priority(volume: Callable[[int], None]) -> None:
    volume(40)
    lab.run("mkswap", "-L", "mine", DEVICE)
    before = identity()
    vmgr("lvextend", "-r", "-L80m", "tank/data")
    assert (size(), fs_size("swap"), identity()) == (80, 80, before)
    lab.run("swapon", "-p", "7", DEVICE)
    assert (
        "is in use" in vmgr("lvextend", "-r", "--fsmode", "nochange", "-L100m", "tank/data", status=FAILED).stderr
    )
    vmgr("lvextend", "-y", "-r", "-L100m", "tank/data")
    vmgr("lvreduce", "-y", "-r", "-L60m", "tank/data")
    assert Path("/proc/swaps").read_text().split()[-1] == "7"
    assert (size(), fs_size("swap"), identity()) == (60, 60, before)


class Person(Silence):
    """Somebody who knows a passphrase."""

    def __init__(self, word: str) -> None:
        super().__init__(True)
        self._word = word

    def secret(self, question: str) -> str | None:
        return self._word


def luks(*options: str) -> None:
    fast = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
    lab.run("cryptsetup", "-q", "luksFormat", "--type", options[0], *fast, DEVICE, "-", stdin="pass")
    lab.run("cryptsetup", "open", *options[1:], "--key-file", "-", DEVICE, "secret", stdin="pass")


def resize(mib: int, person: Person | None = None) -> None:
    with open_application(RunOptions(yes=True, fs="resize"), person) as app:
        app.lvresize("tank", ResizeVolume("data", f"{mib}m"))


@pytest.mark.parametrize("options", [("luks1",), ("luks2", "--disable-keyring")], ids=lambda o: o[0])
def test_a_luks_container_follows_with_what_is_in_it(
    options: tuple[str, ...], volume: Callable[[int], None]
) -> None:
    volume(100)
    luks(*options)
    make("ext4", "/dev/mapper/secret")
    header = 100 - lab.sectors("/dev/mapper/secret") // 2048
    for new in (140, 80):
        if new < 100:
            assert "reaches beyond" in vmgr("lvreduce", "-y", f"-L{new}m", "tank/data", status=FAILED).stderr
        vmgr("lvresize", "-r", f"-L{new}m", "tank/data")
        assert size() == new
        assert lab.sectors("/dev/mapper/secret") // 2048 == new - header
        assert fs_size("ext4", "/dev/mapper/secret") == new - header
        check("ext4", "/dev/mapper/secret")
    lab.run("cryptsetup", "close", "secret")
    assert "is not open" in vmgr("lvextend", "-r", "-L100m", "tank/data", status=FAILED).stderr
    assert size() == 80


def test_a_container_whose_key_is_in_the_keyring_needs_its_passphrase_before_anything_changes(
    volume: Callable[[int], None],
) -> None:
    volume(100)
    luks("luks2")
    make("ext4", "/dev/mapper/secret")
    done = vmgr("lvextend", "-y", "-r", "-L140m", "tank/data", status=FAILED)
    assert "needs a passphrase" in done.stderr
    with pytest.raises(Refused, match="does not open"):
        resize(140, Person("wrong"))
    assert size() == 100
    resize(140, Person("pass"))
    assert (size(), fs_size("ext4", "/dev/mapper/secret")) == (140, 124)
    resize(80, Person("pass"))
    assert (size(), fs_size("ext4", "/dev/mapper/secret")) == (80, 64)
    check("ext4", "/dev/mapper/secret")


# -- killed ---------------------------------------------------------------------------------------


def killed_at(point: int, mib: int) -> bool:
    """Run a resize that is killed before its step ``point``; whether it came that far."""
    child = os.fork()
    if not child:
        passed = 0
        run = Job._run

        def dying(self: Job, tasks: object, say: object) -> None:
            nonlocal passed
            for task in tasks:  # type: ignore[attr-defined]
                if passed == point:
                    os.kill(os.getpid(), signal.SIGKILL)
                passed += 1
                run(self, (task,), lambda _: None)
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)

        Job._run = dying  # type: ignore[method-assign, assignment]
        status = 1
        try:
            resize(mib)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the resize failed before it was killed"
    return status != 0


@pytest.mark.parametrize(("kind", "first", "second"), [("ext4", 40, 80), ("ext4", 80, 40), ("xfs", 320, 400),
                                                       ("btrfs", 400, 320)])  # fmt: skip
def test_killed_between_any_two_steps_the_content_fits_and_the_same_command_finishes(
    kind: str, first: int, second: int, volume: Callable[[int], None]
) -> None:
    volume(first)
    make(kind)
    for point in range(6):
        if not killed_at(point, second):
            break
        assert fs_size(kind) <= size(), f"killed before step {point}: it reaches beyond its volume"
        assert mounts() == []
        vmgr("lvresize", "-y", "-r", f"-L{second}m", "tank/data")
        assert (size(), fs_size(kind)) == (second, second)
        check(kind)
        vmgr("lvresize", "-y", "--fs", "ignore", f"-L{first}m", "tank/data")
        subprocess.run(["wipefs", "-qa", DEVICE], check=True)
        make(kind)
    assert point >= 2
    assert lvm("vgck", "tank").returncode == 0


def test_an_inactive_volume_is_looked_at_and_reduced_where_its_content_fits(volume: Callable[[int], None]) -> None:
    """As LVM2 2.03.40: active for a look, and not afterwards; whoever does not ask for it gets no look."""
    volume(80)
    lab.run("mkfs.ext4", "-q", DEVICE, "40m")
    vmgr("lvchange", "-an", "tank/data")
    planned = vmgr("lvreduce", "--test", "--fs", "checksize", "-L60m", "tank/data")
    assert "examined only without --test" in planned.stderr
    assert active() == ""
    vmgr("lvreduce", "--fs", "checksize", "-L60m", "tank/data")
    assert active() == ""
    vmgr("lvextend", "--fs", "checksize", "-L64m", "tank/data")
    vmgr("lvchange", "-ay", "tank/data")
    assert (size(), fs_size("ext4")) == (64, 40)


@pytest.mark.parametrize("luks", [False, True])
def test_what_a_killed_resize_left_unmounted_is_named_and_mounted_by_the_same_command(
    luks: bool, volume: Callable[[int], None], place: str, tmp_path: Path
) -> None:
    volume(120)
    device = DEVICE
    if luks:
        key = tmp_path / "key"
        key.write_text("secret")
        words = ("-q", "--type", "luks1", "--iter-time", "10", "--key-file", str(key))
        lab.run("cryptsetup", *words, "luksFormat", DEVICE)
        lab.run("cryptsetup", "--key-file", str(key), "open", DEVICE, "secret")
        device = "/dev/mapper/secret"
    make("ext4", device)
    for point in range(1, 7):
        lab.run("mount", "-o", "noatime", device, place)
        before = lab.run("findmnt", "-no", "OPTIONS,SOURCE", place).stdout
        if not killed_at(point, 80):
            break
        assert mounts() == []
        named = vmgr("lvchange", "--addtag", f"t{point}", "tank/data").stderr
        assert f"a resize that did not end left {device if luks else '/dev/mapper/tank-data'} unmounted" in named
        vmgr("lvresize", "-y", "-r", "-L80m", "tank/data")
        assert size() == 80
        assert mounts() == [place]
        assert lab.run("findmnt", "-no", "OPTIONS,SOURCE", place).stdout == before
        assert "did not end" not in vmgr("lvchange", "--addtag", f"u{point}", "tank/data").stderr
        vmgr("lvresize", "-y", "-r", "-L120m", "tank/data")
        lab.run("umount", place)
        check("ext4", device)
    assert point >= 3
    lab.run("umount", place)


def test_what_a_killed_resize_left_unmounted_is_forgotten_when_it_is_mounted_by_hand(
    volume: Callable[[int], None], place: str
) -> None:
    volume(80)
    make("ext4")
    lab.run("mount", DEVICE, place)
    assert killed_at(1, 40)
    lab.run("mount", DEVICE, place)
    assert "did not end" not in vmgr("lvchange", "--addtag", "t", "tank/data").stderr
    lab.run("umount", place)
    assert "did not end" not in vmgr("lvchange", "--addtag", "u", "tank/data").stderr


def test_swap_that_a_killed_resize_left_unused_is_named_and_used_again(volume: Callable[[int], None]) -> None:
    volume(40)
    lab.run("mkswap", DEVICE)
    for point in range(1, 5):
        lab.run("swapon", "-p", "7", DEVICE)
        if not killed_at(point, 60):
            break
        named = vmgr("lvchange", "--addtag", f"t{point}", "tank/data").stderr
        assert f"swapped off; use it again: swapon -p 7 {DEVICE}" in named
        vmgr("lvresize", "-y", "-r", "-L60m", "tank/data")
        assert size() == 60
        assert lab.run("swapon", "--show=PRIO", "--noheadings").stdout.strip() == "7"
        lab.run("swapoff", DEVICE)
        vmgr("lvresize", "-y", "-r", "-L40m", "tank/data")
    assert point >= 2
    lab.run("swapoff", DEVICE)


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_killed_resize_leaves_no_mount_and_no_folder_of_its_own(kind: str, volume: Callable[[int], None]) -> None:
    volume(320)
    make(kind)
    for _ in range(2):
        assert killed_at(1, 400)
    assert mounts() == []
    assert sorted(p.name for p in Path("/run/vmgr").iterdir()) == ["mount"]
    assert not list(Path("/tmp").glob("vmgr-mount-*"))
