"""Whole commands on loop devices without device mapper: what vmgr writes beside metadata, and what it repairs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_UN, flock

import pytest

from tests.proof.tracer import trace
from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.cli.main import main
from vmgr.system.signatures import find_signatures

pytestmark = requires_lvm2

MIB = 1 << 20
MDA = 4096
"""Where the first metadata area of a PV starts."""


@pytest.fixture
def lvm(tmp_path, monkeypatch):
    with Lvm2(tmp_path / "lvm") as one:
        monkeypatch.setenv("LVM_SYSTEM_DIR", str(one.dir))
        yield one


@pytest.fixture
def disk(lvm, tmp_path) -> Callable[[str], str]:
    """``disk(name)``: a fresh loop device of 16 MiB."""

    def make(name: str) -> str:
        path = lvm.disk(tmp_path / name, 16 * MIB)
        lvm.run("version")  # writes lvm.conf, with this device in its filter
        return path

    return make


def vmgr(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vmgr", words[0], "--driverloaded", "n", *words[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def overwrite(device: str, offset: int, data: bytes) -> None:
    with open(device, "r+b", buffering=0) as file:
        file.seek(offset)
        file.write(data)
        os.fsync(file.fileno())


def start(device: str, length: int) -> bytes:
    with open(device, "rb") as file:
        return file.read(length)


# -- damaged metadata areas -----------------------------------------------------------------------


def test_a_damaged_header_is_made_anew_only_by_the_command_that_is_for_it(lvm, disk):
    one, two = disk("one"), disk("two")
    lvm.run("vgcreate", "vg", one, two)
    overwrite(one, MDA, b"\xff" * 512)
    vmgr("vgchange", "--addtag", "x", "vg")
    assert start(one, MDA + 512)[MDA:] == b"\xff" * 512
    done = vmgr("vgck", "vg", status=5)
    assert "vgck --updatemetadata vg" in done.stderr
    vmgr("vgck", "--updatemetadata", "vg")
    vmgr("vgck", "vg")
    lvm.run("vgck", "vg")
    lvm.run("pvck", one)
    # The new copy is whole: the group can be read from it alone.
    overwrite(two, MDA, b"\xff" * 512)
    assert lvm.run("vgs", "--noheadings", "-o", "vg_tags", "vg").strip() == "x"


def test_a_group_whose_headers_are_all_damaged_comes_back_from_its_backup(lvm, disk):
    one, two = disk("one"), disk("two")
    lvm.run("vgcreate", "vg", one, two)
    lvm.create("vg", "-l2", "-nlv")
    for device in (one, two):
        overwrite(device, MDA, b"\xff" * 512)
    vmgr("vgs", "vg", status=5)
    vmgr("vgcfgrestore", "vg")
    lvm.run("vgck", "vg")
    assert lvm.run("lvs", "--noheadings", "-o", "lv_name", "vg").strip() == "lv"
    for device in (one, two):
        lvm.run("pvck", device)


def test_a_damaged_label_is_not_overwritten_unasked(lvm, disk):
    one = disk("one")
    lvm.run("pvcreate", one)
    overwrite(one, 512 + 100, b"\xff")
    before = start(one, MIB)
    done = vmgr("pvcreate", one, status=5)
    assert "LVM2_member signature detected" in done.stderr
    assert start(one, MIB) == before
    vmgr("pvcreate", "-y", one)
    lvm.run("pvck", one)


# -- the devices file -----------------------------------------------------------------------------


def entries(lvm: Lvm2) -> dict[str, str]:
    text = (lvm.dir / "devices" / "ours.devices").read_text()
    found = {}
    for line in text.splitlines():
        if line.startswith("IDTYPE"):
            words = dict(word.split("=", 1) for word in line.split())
            found[words["DEVNAME"]] = words["PVID"]
    return found


@pytest.fixture
def listed(lvm):
    """A devices file that has no entry yet."""
    folder = lvm.dir / "devices"
    folder.mkdir()
    (folder / "ours.devices").write_text("VERSION=1.1.1\n")
    return "--devicesfile", "ours.devices"


def test_new_physical_volumes_are_entered_into_the_devices_file_and_old_ones_unmarked(lvm, disk, listed):
    one, two, three = disk("one"), disk("two"), disk("three")
    vmgr("pvcreate", *listed, one)
    assert set(entries(lvm)) == {one}
    vmgr("vgcreate", *listed, "vg", one, two)
    vmgr("vgextend", *listed, "vg", three)
    by_lvm = lvm.run("pvs", *listed, "--noheadings", "-o", "pv_name,pv_uuid,vg_name").split()
    assert by_lvm[0::3] == sorted([one, two, three])
    assert by_lvm[2::3] == ["vg"] * 3
    assert entries(lvm) == dict(zip(by_lvm[0::3], (u.replace("-", "") for u in by_lvm[1::3]), strict=True))
    vmgr("vgreduce", *listed, "vg", three)
    vmgr("pvremove", *listed, three)
    assert entries(lvm)[three] == "."
    assert lvm.run("pvs", *listed, "--noheadings", "-o", "pv_name").split() == sorted([one, two])


def test_a_test_enters_nothing_into_the_devices_file(lvm, disk, listed):
    vmgr("pvcreate", "--test", *listed, disk("one"))
    assert entries(lvm) == {}


def test_a_device_that_the_devices_file_lacks_is_not_seen_by_other_commands(lvm, disk, listed):
    one = disk("one")
    lvm.run("pvcreate", one)
    assert vmgr("pvs", *listed).stdout == ""
    vmgr("pvremove", *listed, one, status=5)


def killed(at: int, *words: str) -> bool:
    """Run a vmgr command that is killed at its ``at``-th call that changes a disk; False if it ended before."""

    def program() -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        sys.argv = ["vmgr", words[0], "--driverloaded", "n", *words[1:]]
        main()

    return trace(program, kill_at=at).killed_at is not None


@pytest.mark.parametrize("following", ["pvcreate", "vgcreate"])
def test_what_a_killed_pvcreate_labelled_and_did_not_enter_is_known_to_who_names_it(lvm, disk, listed, following):
    """The labels are written first, one disk after the other, then the devices file."""
    disks = [disk(name) for name in ("one", "two", "three")]
    kept = [start(path, MIB) for path in disks]
    empty = (lvm.dir / "devices" / "ours.devices").read_text()
    all_labelled = 0
    for at in itertools.count(1):
        if not killed(at, "pvcreate", *listed, *disks):
            break
        assert entries(lvm) == {}
        labelled = [path for path in disks if b"LABELONE" in start(path, 4096)]
        all_labelled += labelled == disks
        if labelled == disks:
            # Nobody else looks at such a disk, as in LVM2; what enters it is named.
            assert "pvcreate" in vmgr("pvremove", *listed, disks[0], status=5).stderr
        vmgr(following, *listed, *(["vg"] if following == "vgcreate" else []), *disks)
        assert set(entries(lvm)) == set(disks)
        assert lvm.run("pvs", *listed, "--noheadings", "-o", "pv_name").split() == sorted(disks)
        for path, data in zip(disks, kept, strict=True):
            overwrite(path, 0, data)
        (lvm.dir / "devices" / "ours.devices").write_text(empty)
    assert all_labelled


def test_a_killed_pvremove_leaves_nothing_that_the_next_one_or_pvcreate_does_not_end(lvm, disk, listed):
    """The labels are wiped before the devices file is told: an entry of a PV that is gone is not believed."""
    disks = [disk("one"), disk("two")]
    vmgr("pvcreate", *listed, *disks)
    kept = [start(path, MIB) for path in disks]
    text = (lvm.dir / "devices" / "ours.devices").read_text()
    for at, following in itertools.product((2, 3, 4), ("pvremove", "pvcreate")):
        assert killed(at, "pvremove", *listed, *disks)
        gone = [path for path in disks if b"LABELONE" not in start(path, 4096)]
        done = vmgr(following, *listed, *disks, status=5 if following == "pvremove" and gone else 0)
        for path in gone if following == "pvremove" else ():
            assert f"no PV found on device {path}" in done.stderr
        listed_now = {path: pv for path, pv in entries(lvm).items() if pv != "."}
        by_lvm = lvm.run("pvs", *listed, "--noheadings", "-o", "pv_name").split()
        wanted = disks if following == "pvcreate" else []
        assert by_lvm == sorted(wanted)
        assert sorted(listed_now) == sorted(wanted), at
        for path, data in zip(disks, kept, strict=True):
            overwrite(path, 0, data)
        (lvm.dir / "devices" / "ours.devices").write_text(text)


# -- block sizes ----------------------------------------------------------------------------------


def test_a_group_does_not_mix_devices_with_different_blocks(lvm, disk, tmp_path):
    one, two = disk("one"), disk("two")
    done = subprocess.run(["losetup", "--sector-size", "4096", two], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("losetup cannot set block sizes here")
    done = vmgr("vgcreate", "vg", one, two, status=5)
    assert "different logical block sizes" in done.stderr
    assert vmgr("pvs").stdout == ""
    vmgr("vgcreate", "vg", one)
    assert "different logical block sizes" in vmgr("vgextend", "vg", two, status=5).stderr
    vmgr("vgextend", "--config", "devices/allow_mixed_block_sizes=1", "vg", two)


# -- whose data it is -----------------------------------------------------------------------------


def test_a_group_with_a_copied_disk_is_not_activated(lvm, disk):
    """Which of the two is written to afterwards would be a matter of luck. LVM2 says no, too."""
    one, two = disk("one"), disk("two")
    lvm.run("vgcreate", "vg", one)
    lvm.create("vg", "-l1", "-nlv")
    overwrite(two, 0, start(one, 2 * MIB))
    done = vmgr("vgchange", "--test", "-ay", "vg", status=5)
    assert "is on two devices" in done.stderr
    done = vmgr("lvchange", "--test", "--refresh", "vg/lv", status=5)
    assert "is on two devices" in done.stderr
    assert "device mapper" in vmgr("vgchange", "--test", "-an", "vg", status=5).stderr  # which is not here


@pytest.mark.parametrize("command", ["pvcreate", "vgcreate"])
def test_what_came_onto_a_device_while_the_user_was_asked_is_not_wiped(lvm, disk, command):
    one = disk("one")
    subprocess.run(["mkfs.ext4", "-q", one], check=True)
    words = [
        sys.executable,
        "-m",
        "vmgr",
        command,
        "--driverloaded",
        "n",
        *(["vg"] if command == "vgcreate" else []),
    ]
    master, slave = os.openpty()
    with subprocess.Popen([*words, one], stdin=slave, stdout=slave, stderr=slave) as asking:
        os.close(slave)
        heard = b""
        while b"Wipe it?" not in heard:
            heard += os.read(master, 1000)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "other", one], check=True)
        before = start(one, MIB)
        os.write(master, b"y\n")
        while chunk := _rest(master):
            heard += chunk
        os.close(master)
    assert asking.returncode == 5
    assert b"has changed since" in heard
    assert start(one, MIB) == before


def _rest(master: int) -> bytes:
    try:
        return os.read(master, 1000)
    except OSError:  # the other side has been closed
        return b""


def test_every_signature_that_will_be_wiped_is_named(lvm, disk):
    one = disk("one")
    subprocess.run(["mkfs.ext4", "-q", one], check=True)
    overwrite(one, 0, b"LUKS\xba\xbe\0\1")
    done = vmgr("pvcreate", one, status=5)
    found = [s.type for s in find_signatures(one)]
    assert len(found) > 1
    assert all(kind in done.stderr for kind in found)


def test_a_group_that_was_renamed_is_restored_under_both_names_locks(lvm, disk):
    """Somebody may be changing it under the name that it has now."""
    one = disk("one")
    lvm.run("vgcreate", "vg", one)
    file = lvm.dir / "saved"
    vmgr("vgcfgbackup", "-f", str(file), "vg")
    vmgr("vgrename", "vg", "better")
    lock = lvm.dir / "lock" / "V_better"
    with open(lock, "w") as held:
        flock(held, LOCK_EX)
        done = vmgr("vgcfgrestore", "--config", "global/wait_for_locks=0", "-f", str(file), "vg", status=5)
        assert "V_better" in done.stderr
    vmgr("vgcfgrestore", "-f", str(file), "vg")
    lvm.run("vgck", "vg")


def test_metadata_are_not_restored_onto_a_disk_whose_metadata_area_lies_where_volumes_do(lvm, disk):
    one = disk("one")
    lvm.run("vgcreate", "vg", one)
    lvm.create("vg", "-l2", "-nlv")
    file = lvm.dir / "saved"
    vmgr("vgcfgbackup", "-f", str(file), "vg")
    uuid = lvm.run("pvs", "--noheadings", "-o", "pv_uuid", one).strip()
    lvm.run("vgremove", "-y", "-f", "vg")
    lvm.run("pvremove", one)
    lvm.run("pvcreate", "--norestorefile", "--uuid", uuid, "--metadatasize", "3m", one)
    before = start(one, 8 * MIB)
    done = vmgr("vgcfgrestore", "-f", str(file), "vg", status=5)
    assert "has a metadata area where volumes lie" in done.stderr
    assert start(one, 8 * MIB) == before


def test_a_rename_goes_by_what_the_group_is_once_its_lock_is_had(lvm, disk):
    one = disk("one")
    lvm.run("vgcreate", "vg", one)
    lock = lvm.dir / "lock" / "V_vg"
    lock.parent.mkdir(exist_ok=True)
    with open(lock, "w") as held:
        flock(held, LOCK_EX)
        words = [sys.executable, "-m", "vmgr", "vgrename", "-v", "--driverloaded", "n", "vg", "better"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as renaming:
            assert renaming.stdout is not None
            while "Waiting for" not in (line := renaming.stdout.readline()):
                assert line, "it did not wait"
            vmgr("lvcreate", "--nolocking", "-an", "-Zn", "-Wn", "-l1", "-n", "lv", "vg")
            flock(held, LOCK_UN)
            told = renaming.stdout.read()
    assert renaming.returncode == 0, told
    assert lvm.run("lvs", "--noheadings", "-o", "vg_name,lv_name").split() == ["better", "lv"]


def test_a_disk_that_was_given_up_while_it_was_away_is_not_told_to_leave_the_group(lvm, disk):
    one, two = disk("one"), disk("two")
    lvm.run("vgcreate", "vg", one, two)
    vmgr("vgreduce", "--removemissing", "--config", f'devices/filter=["r|{two}|"]', "vg")
    for words in (["vgextend", "vg", two], ["pvcreate", two]):
        done = vmgr(*words, status=5)
        assert f"pvcreate -ff {two}" in done.stderr
        assert "vgreduce" not in done.stderr
    vmgr("pvcreate", "-ff", "-y", two)
    vmgr("vgextend", "vg", two)


@pytest.mark.parametrize("program", ["lvm", "vmgr"])
def test_a_group_is_found_when_its_disks_have_got_new_names(program, lvm, disk, listed):
    """Both look for the PV of an entry that has only a name, and write where it is; what is not there is named."""
    one, two = disk("one"), disk("two")
    lvm.run("vgcreate", "vg", one)
    pvid = lvm.run("pvs", "--noheadings", "-o", "pv_uuid", one).strip().replace("-", "")
    file = lvm.dir / "devices" / "ours.devices"
    lost = "IDTYPE=sys_wwid IDNAME=t10.NOSUCH DEVNAME=/dev/sdq PVID=abcdefghijklmnopqrstuvwxyz012345"
    file.write_text(f"VERSION=1.1.1\nIDTYPE=devname IDNAME={two} DEVNAME={two} PVID={pvid}\n{lost}\n")
    words = ("vgs", *listed, "--noheadings", "-o", "vg_name", "--config", 'devices/search_for_devnames="all"')
    if program == "lvm":
        assert lvm.run(*words).split() == ["vg"]
    else:
        done = vmgr(*words)
        assert done.stdout.split() == ["vg"]
        assert f"found on {one}" in done.stderr
        assert "t10.NOSUCH" in done.stderr
        assert "last seen on /dev/sdq not found" in done.stderr
    assert entries(lvm) == {one: pvid, "/dev/sdq": "abcdefghijklmnopqrstuvwxyz012345"}
    assert f"IDTYPE=devname IDNAME={one} " in file.read_text()


def test_a_report_that_may_not_write_leaves_the_devices_file_alone(lvm, disk, listed):
    one, two = disk("one"), disk("two")
    lvm.run("vgcreate", "vg", one)
    pvid = lvm.run("pvs", "--noheadings", "-o", "pv_uuid", one).strip().replace("-", "")
    file = lvm.dir / "devices" / "ours.devices"
    text = f"VERSION=1.1.1\nIDTYPE=devname IDNAME={two} DEVNAME={two} PVID={pvid}\n"
    file.write_text(text)
    everywhere = ("--config", 'devices/search_for_devnames="all"')
    for words in (("vgs", "--readonly"), ("vgchange", "--test", "--addtag", "x", "vg")):
        done = vmgr(*words[:1], *listed, *everywhere, *words[1:])
        assert f"found on {one}" in done.stderr
        assert file.read_text() == text
    vmgr("vgchange", *listed, *everywhere, "--addtag", "x", "vg")
    assert entries(lvm) == {one: pvid}


# -- damage that is told --------------------------------------------------------------------------


def test_damage_is_told_by_every_command_that_looks(lvm, disk):
    """On standard error, with the device; standard output is the report alone. The statuses are LVM2's."""
    ill, fit = disk("one"), disk("two")
    lvm.run("vgcreate", "ill", ill)
    lvm.run("vgcreate", "fit", fit)
    overwrite(ill, MDA + 24, b"X")
    for words, rows in (
        (("vgs", "--noheadings", "-o", "vg_name"), ["fit"]),
        (("vgs", "--noheadings", "-o", "vg_name", "fit"), ["fit"]),
        (("pvs", "--noheadings", "-o", "pv_name"), sorted([ill, fit])),
        (("vgck",), []),
        (("vgchange", "--test", "--addtag", "x", "fit"), None),
    ):
        done = vmgr(*words)
        assert f"{ill}: the metadata header at byte 4096 is damaged: its checksum is wrong" in done.stderr
        if rows is not None:
            assert done.stdout.split() == rows
            assert lvm.run(*words).split() == rows
    for words in (("vgs", "ill"), ("vgck", "ill"), ("vgchange", "--addtag", "x", "ill")):
        assert ill in vmgr(*words, status=5).stderr
        lvm.run(*words, status=5)


def test_damage_of_a_copy_that_is_not_needed_is_told(lvm, disk):
    one, two = disk("one"), disk("two")
    lvm.run("vgcreate", "vg", one, two)
    text = start(two, MIB).index(b"physical_volumes")
    overwrite(two, text, b"X")
    for words in (("vgs",), ("pvs",), ("lvs", "vg"), ("pvscan",)):
        assert f"{two}: the metadata text" in vmgr(*words).stderr
    vmgr("vgck", "vg", status=5)
    vmgr("vgck", "--updatemetadata", "vg")
    assert vmgr("vgs").stderr == ""
    lvm.run("vgck", "vg")


# -- what settings and options ask for ------------------------------------------------------------


def test_the_first_physical_volumes_of_a_system_make_the_devices_file_that_is_wanted(lvm, disk):
    """As LVM2: only where there is no group yet, which the new file would hide."""
    one, two, three = disk("one"), disk("two"), disk("three")
    wanted = "--config", 'devices { use_devicesfile=1 devicesfile="ours.devices" }'
    vmgr("pvcreate", "--test", *wanted, one)
    assert not (lvm.dir / "devices").exists()
    done = vmgr("vgcreate", *wanted, "vg", one, two)
    assert f"Creating devices file {lvm.dir}/devices/ours.devices" in done.stderr
    assert set(entries(lvm)) == {one, two}
    assert lvm.run("pvs", *wanted, "--noheadings", "-o", "pv_name").split() == sorted([one, two])
    (lvm.dir / "devices" / "ours.devices").unlink()
    done = vmgr("pvcreate", *wanted, three)
    assert "Not creating system devices file due to existing VGs." in done.stderr
    assert not (lvm.dir / "devices" / "ours.devices").exists()
    vmgr("pvcreate", "--devicesfile", "ours.devices", three)
    assert set(entries(lvm)) == {three}


def test_a_device_may_get_the_uuid_that_it_has(lvm, disk):
    one, two = disk("one"), disk("two")
    lvm.run("pvcreate", one)
    uuid = lvm.run("pvs", "--noheadings", "-o", "pv_uuid", one).strip()
    vmgr("pvcreate", "-y", "--uuid", uuid, "--norestorefile", one)
    lvm.run("pvcreate", "-y", "--uuid", uuid, "--norestorefile", one)
    done = vmgr("pvcreate", "-y", "--uuid", uuid, "--norestorefile", two, status=5)
    assert f"is in use by the physical volume on {one}" in done.stderr
    lvm.run("pvcreate", "-y", "--uuid", uuid, "--norestorefile", two, status=5)


@pytest.mark.parametrize(("option", "told"), [("--dataalignment 3m", True), ("--dataalignment 512k", False)])
def test_an_alignment_that_restored_data_cannot_have_is_told_and_left_out(lvm, disk, tmp_path, option, told):
    one = disk("one")
    lvm.run("vgcreate", "vg", one)
    uuid = lvm.run("pvs", "--noheadings", "-o", "pv_uuid", one).strip()
    lvm.run("vgcfgbackup", "-f", str(tmp_path / "backup"), "vg")
    lvm.run("vgremove", "-y", "vg")
    lvm.run("pvremove", "-y", one)
    words = *option.split(), "--uuid", uuid, "--restorefile", str(tmp_path / "backup")
    done = vmgr("pvcreate", *words, one)
    assert ("WARNING: Ignoring data alignment" in done.stderr) is told
    ours = lvm.run("pvs", "--noheadings", "-o", "pe_start,pv_mda_size", one)
    lvm.run("pvremove", "-y", one)
    lvm.run("pvcreate", *words, one)
    assert lvm.run("pvs", "--noheadings", "-o", "pe_start,pv_mda_size", one) == ours


def test_a_broken_configuration_has_lvm2s_status(lvm, disk):
    disk("one")
    whole = (lvm.dir / "lvm.conf").read_text()
    for text in ("global {", 'global { units="foo" }', 'activation { readahead="foo" }'):
        (lvm.dir / "lvm.conf").write_text(f"{whole}{text}\n")
        vmgr("vgs", status=4)
        env = {**os.environ, "LVM_SYSTEM_DIR": str(lvm.dir)}
        assert subprocess.run(["lvm", "vgs"], env=env, capture_output=True, check=False).returncode == 4


def test_a_group_leaves_this_host_only_if_that_is_agreed_to(lvm, disk):
    lvm.run("vgcreate", "vg", disk("one"))
    done = vmgr("vgchange", "--systemid", "elsewhere", "vg", status=5)
    assert "might become inaccessible from this machine" in done.stderr
    assert lvm.run("vgs", "--noheadings", "-o", "systemid", "vg").strip() == ""
    vmgr("vgchange", "-y", "--systemid", "elsewhere", "vg")
    assert "elsewhere" in lvm.run("vgs", "--foreign", "--noheadings", "-o", "systemid", "vg")


def test_nothing_is_written_before_every_device_has_been_checked_and_asked_about(lvm, disk):
    """A no for the second of two devices leaves the first as it is; so does nobody who could answer."""
    one, two = disk("one"), disk("two")
    subprocess.run(["mkfs.ext4", "-q", two], check=True)
    before = start(one, MIB)
    assert "not wiping the ext4 signature" in vmgr("pvcreate", one, two, status=5).stderr
    assert start(one, MIB) == before


def test_a_device_that_cannot_be_used_does_not_keep_the_others_from_being_labelled(lvm, disk):
    one, two = disk("one"), disk("two")
    done = vmgr("pvcreate", one, two + "-none", two, status=5)
    assert "no device found" in done.stderr
    assert set(lvm.run("pvs", "--noheadings", "-opv_name").split()) >= {one, two}
    done = vmgr("pvremove", one, two + "-none", two, status=5)
    assert "no device found" in done.stderr
    assert not lvm.run("pvs", "--noheadings", "-opv_name").split()
