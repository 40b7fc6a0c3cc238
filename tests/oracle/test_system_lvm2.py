"""The machine around, against Debian's lvm2: what one does the other sees, and neither gets in the other's way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.lvm2 import Lvm2, requires_lvm2
from tests.support.machine import uuid
from tests.support.ondisk import TARGETS
from vmgr.core.change import LabelPv
from vmgr.core.errors import GroupUnusable, InUse, LockFailed
from vmgr.core.pv import DiskArea, MdaArea, PvLayout
from vmgr.core.units import Bytes
from vmgr.core.view import SystemView
from vmgr.ondisk.codec import decode_group
from vmgr.system import config as configuration
from vmgr.system import devices
from vmgr.system.archive import Archives
from vmgr.system.config import Config
from vmgr.system.devicesfile import selection
from vmgr.system.disk import Disk
from vmgr.system.identity import make_stamp, system_id, text_header
from vmgr.system.locks import Locks
from vmgr.system.metadata import MetadataStore, backup_text
from vmgr.system.scan import Scan
from vmgr.system.settings import DEFAULTS

pytestmark = requires_lvm2

MIB = 1 << 20
ENV = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC0", "LVM_SUPPRESS_FD_WARNINGS": "1"}


@pytest.fixture
def lvm(tmp_path):
    with Lvm2(tmp_path / "lvm") as one:
        yield one


def ours(lvm: Lvm2, *overrides: str) -> Config:
    """The configuration that lvm2 was given in its last command."""
    lvm.run("version")
    return configuration.load(overrides, environ={"LVM_SYSTEM_DIR": str(lvm.dir)})


def look(lvm: Lvm2, *overrides: str) -> SystemView:
    scan = Scan(ours(lvm, *overrides), TARGETS)
    try:
        return scan.view()
    finally:
        scan.close()


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def store(lvm: Lvm2, view: SystemView) -> MetadataStore:
    config = ours(lvm)
    return MetadataStore(
        view.pvs(),
        TARGETS,
        lambda description: text_header(description, config),
        Archives.from_config(config),
        command="vmgr test",
    )


def layout(n: int, size: int) -> PvLayout:
    return PvLayout(
        uuid(n), Bytes(size), (DiskArea(Bytes(MIB), Bytes(0)),), (MdaArea(Bytes(4096), Bytes(MIB - 4096)),)
    )


# -- scanning -------------------------------------------------------------------------------------


def test_a_scan_finds_what_lvm2_made(lvm, tmp_path):
    """Groups, their PVs with sizes and metadata areas, orphans and empty devices."""
    disks = [lvm.disk(tmp_path / f"{n}.img", 64 * MIB) for n in range(4)]
    lvm.run("vgcreate", "--metadatacopies", "2", "one", disks[0])
    lvm.run("pvcreate", "--metadatacopies", "0", disks[1])
    lvm.run("vgextend", "one", disks[1])
    lvm.create("one", "-L8M", "-n", "a")
    lvm.run("pvcreate", disks[2])
    view = look(lvm)
    columns = "-opv_name,vg_name,pv_uuid,dev_size,pv_mda_count"
    shown = rows(lvm.run("pvs", "--noheadings", "--units=b", "--nosuffix", columns))
    assert [
        [pv.device, *([pv.vg_name] if pv.vg_name else []), pv.id.dashed, str(pv.size), str(len(pv.mdas))]
        for pv in view.pvs()
    ] == sorted(shown)
    group = view.group("one").group
    assert rows(lvm.run("vgs", "--noheadings", "-ovg_uuid,vg_seqno,vg_mda_count", "one")) == [
        [group.id.dashed, str(group.seqno), str(view.group("one").mda_count)]
    ]
    assert [other.device for other in view.others] == [disks[3]]
    assert view.problems == ()


def test_free_space_in_metadata_areas_is_lvm2s(lvm, tmp_path):
    """pv_mda_free, which lvm2 gives in whole sectors, and pv_mda_size."""
    disk = lvm.disk(tmp_path / "a.img", 64 * MIB)
    lvm.run("vgcreate", "vg", disk)
    for n in range(5):
        lvm.create("vg", "-l1", "-n", f"lv{n}")
    (pv,) = look(lvm).pvs()
    shown = lvm.run("pvs", "--noheadings", "--units=b", "--nosuffix", "-opv_mda_free,pv_mda_size", disk)
    assert shown.split() == [str(pv.mdas[0].free.round_down(512)), str(pv.mdas[0].area.size)]


FILTERS = ['"a|{0}$|","r|.*|"', '"r|{0}$|"', '"r|{0}$|","a|{1}|","r|.*|"', '"a(loop)","r{{.*}}"']


@pytest.mark.parametrize("patterns", FILTERS)
def test_filters_hide_the_same_devices(tmp_path, patterns):
    """Whatever the patterns: vmgr and lvm2 see the same physical volumes of ours."""
    with Lvm2(tmp_path / "lvm") as lvm:
        disks = [lvm.disk(tmp_path / f"{n}.img", 16 * MIB) for n in range(3)]
        for disk in disks:
            lvm.run("pvcreate", disk)
        more = f"devices/filter=[{patterns.format(*disks)}]"
        shown = {row[0] for row in rows(lvm.run("pvs", "--noheadings", "-opv_name", "--config", more))}
        assert {pv.device for pv in look(lvm, more).pvs()} & set(disks) == shown & set(disks)


def test_links_are_names_for_filters_and_preferred_names(lvm, tmp_path):
    """A device that is accepted by the name of a link is called by it, as lvm2 does."""
    disk = lvm.disk(tmp_path / "a.img", 16 * MIB)
    lvm.run("pvcreate", disk)
    link = Path(f"/dev/vmgr-test-{os.getpid()}")
    link.symlink_to(disk)
    try:
        for more in (
            f'devices {{ filter=["a|^{link}$|","r|.*|"] global_filter=["a|.*|"] }}',
            f'devices {{ preferred_names=["^{disk}$"] global_filter=["a|^{disk}$|","r|.*|"] filter=["a|.*|"] }}',
            f'devices {{ filter=["a|.*|"] global_filter=["r|loop|","a|{link}|","r|.*|"] }}',
        ):
            theirs = lvm.run("pvs", "--noheadings", "-opv_name", "--config", more).split()
            assert [pv.device for pv in look(lvm, more).pvs()] == theirs
    finally:
        link.unlink()


def test_a_double_is_told_apart_as_lvm2_does(lvm, tmp_path):
    """Of a disk and its copy both programs use the same one, and neither changes the group."""
    disk = lvm.disk(tmp_path / "a.img", 16 * MIB)
    lvm.run("vgcreate", "vg", disk)
    shutil.copy(tmp_path / "a.img", tmp_path / "b.img")
    for size in (16 * MIB, 20 * MIB):
        os.truncate(tmp_path / "b.img", size)
        other = lvm.disk(tmp_path / "b.img")
        used = lvm.run("pvs", "--noheadings", "-opv_name").split()
        view = look(lvm)
        assert [pv.device for pv in view.pvs()] == used == [disk]
        assert [pv.device for pv in view.duplicates] == [other]
        with pytest.raises(GroupUnusable):
            view.group("vg").check_changeable()
        lvm.run("lvcreate", "-an", "-Zn", "-Wn", "-l1", "vg", status=5)
        subprocess.run(["losetup", "-d", lvm.devices.pop()], check=True)


def test_an_outdated_copy_and_a_missing_pv_are_seen_alike(lvm, tmp_path):
    """The newest text counts; what is not there is missing."""
    disks = [lvm.disk(tmp_path / f"{n}.img", 16 * MIB) for n in range(2)]
    lvm.run("vgcreate", "vg", *disks)
    shutil.copy(tmp_path / "1.img", tmp_path / "old.img")
    lvm.create("vg", "-l1", "-n", "a")
    shutil.copy(tmp_path / "old.img", tmp_path / "1.img")
    view = look(lvm).group("vg")
    assert view.group.seqno == int(lvm.run("vgs", "--noheadings", "-ovg_seqno", "vg"))
    assert [view.pvs[pv].device for pv in view.outdated] == [disks[1]]
    lvm.run("pvs", disks[1])
    with open(tmp_path / "1.img", "r+b") as file:
        file.seek(512)
        file.write(bytes(512))
    view = look(lvm).group("vg")
    assert [pv.device for pv in view.missing] == [disks[1]]
    assert lvm.run("vgs", "--noheadings", "-ovg_missing_pv_count", "vg").strip() == "1"


def test_foreign_groups_are_foreign_to_both(lvm, tmp_path):
    """The system ID in the text is compared with the host's by the same rules."""
    disk = lvm.disk(tmp_path / "a.img", 16 * MIB)
    here = 'global/system_id_source="lvmlocal" local/system_id="here"'
    there = 'global/system_id_source="lvmlocal" local/system_id="there"'
    lvm.run("vgcreate", "vg", disk, "--config", here)
    for text in (here, there, f'{there} local/extra_system_ids=["here"]', "global/suffix=1"):
        seen = "vg" in lvm.run("vgs", "--noheadings", "-ovg_name", "--config", text)
        assert look(lvm, text).group("vg").foreign is not seen


@pytest.mark.parametrize("source", ["none", "lvmlocal", "uname", "machineid", "file"])
def test_the_system_id_is_lvm2s(lvm, tmp_path, source):
    """Each source gives both programs the same ID."""
    (tmp_path / "id").write_text("#x\n _my id!2 #y\n")
    text = f'global {{ system_id_source="{source}" system_id_file="{tmp_path}/id" }} local/system_id="--a b.c"'
    shown = lvm.run("systemid", "--config", text)
    assert system_id(ours(lvm, text)) == shown.partition(":")[2].strip()


# -- writing --------------------------------------------------------------------------------------


def test_lvm2_accepts_what_the_store_writes(lvm, tmp_path):
    """Labels and texts written by vmgr: lvm2's checks pass and it goes on working with the group."""
    disks = [lvm.disk(tmp_path / f"{n}.img", 64 * MIB) for n in range(2)]
    lvm.run("vgcreate", "theirs", disks[0])
    writer = store(lvm, look(lvm))
    for n, disk in enumerate(disks, 1):
        writer.write_label(LabelPv(disk, layout(n, 64 * MIB)))
    writer.close()
    names = lvm.run("pvs", "--noheadings", "-opv_name,pv_uuid", *disks)
    assert rows(names) == [[disk, uuid(n).dashed] for n, disk in enumerate(disks, 1)]
    lvm.run("vgcreate", "vg", *disks)
    lvm.create("vg", "-l3", "-n", "a")
    view = look(lvm)
    writer = store(lvm, view)
    old = view.group("vg").group
    new = evolve(old, seqno=old.seqno + 1, tags=("made_by_vmgr",))
    writer.archive(old)
    writer.write_text(new)
    assert "made_by_vmgr" not in lvm.run("vgs", "--noheadings", "-ovg_tags", "vg")
    writer.precommit(new)
    assert "made_by_vmgr" not in lvm.run("vgs", "--noheadings", "-ovg_tags", "vg")
    writer.commit(new)
    writer.mark(new, tuple(new.pv_by_id), used=True)
    writer.backup(new, gone=False)
    writer.close()
    assert lvm.run("vgs", "--noheadings", "-ovg_tags,vg_seqno", "vg").split() == ["made_by_vmgr", str(new.seqno)]
    lvm.run("vgck", "vg")
    for disk in disks:
        lvm.run("pvck", disk)
    lvm.create("vg", "-l1", "-n", "b")
    assert look(lvm).group("vg").group.seqno == new.seqno + 1
    assert look(lvm).problems == ()


def test_lvm2_reads_every_state_in_between(lvm, tmp_path):
    """With the power cut after any write of a change, lvm2 and vmgr read the same group: the old or the new one."""
    images = [tmp_path / f"{n}.img" for n in range(2)]
    disks = [lvm.disk(image, 16 * MIB) for image in images]
    lvm.run("vgcreate", "vg", *disks)
    old = look(lvm).group("vg").group
    new = evolve(old, seqno=old.seqno + 1, tags=("new",))
    states = []

    class Watched(Disk):
        """Keeps a picture of all disks after each write."""

        def write(self, offset: Bytes, data: bytes) -> None:
            super().write(offset, data)
            self.flush()
            states.append([image.read_bytes() for image in images])

    view = look(lvm)
    config = ours(lvm)
    writer = MetadataStore(
        view.pvs(), TARGETS, lambda d: text_header(d, config), Archives("", ""), command="x", open_disk=Watched.open
    )
    writer.write_text(new)
    writer.precommit(new)
    writer.commit(new)
    writer.close()
    seen = []
    for state in states:
        for image, content in zip(images, state, strict=True):
            image.write_bytes(content)
        theirs = int(lvm.run("vgs", "--noheadings", "-ovg_seqno", "vg"))
        assert look(lvm).group("vg").group.seqno == theirs
        seen.append(theirs)
    assert seen == sorted(seen)
    assert {seen[0], seen[-1]} == {old.seqno, new.seqno}


def test_lvm2_sees_a_wiped_label_as_none(lvm, tmp_path):
    """After pvremove's write the device is no PV for lvm2 either."""
    disk = lvm.disk(tmp_path / "a.img", 16 * MIB)
    lvm.run("pvcreate", disk)
    writer = store(lvm, look(lvm))
    writer.wipe_label(disk)
    writer.close()
    assert lvm.run("pvs", "--noheadings").split() == []
    assert look(lvm).pvs() == ()


# -- block devices --------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [512, 4096])
def test_direct_transfers_on_real_blocks(lvm, tmp_path, block):
    """A device with blocks of either size takes writes of any size, and what is read is what the image holds."""
    image = tmp_path / "a.img"
    image.write_bytes(os.urandom(MIB))
    done = subprocess.run(
        ["losetup", "-f", "--show", "-b", str(block), str(image)], capture_output=True, text=True, check=True
    )
    lvm.devices.append(done.stdout.strip())
    before = image.read_bytes()
    with Disk.open(lvm.devices[-1], write=True) as disk:
        assert (disk.is_block, disk.logical_block, disk.size) == (True, block, MIB)
        assert not disk.read_only
        assert disk.read(Bytes(1000), Bytes(9000)) == before[1000:10000]
        disk.write(Bytes(512), b"x" * 512)
        disk.write(Bytes(5000), b"y" * 3000)
        disk.zero(Bytes(65536), Bytes(4096))
        disk.flush()
    wanted = bytearray(before)
    wanted[512:1024] = b"x" * 512
    wanted[5000:8000] = b"y" * 3000
    wanted[65536:69632] = bytes(4096)
    assert image.read_bytes() == wanted


def test_a_device_that_is_in_use_is_not_opened_exclusively(lvm, tmp_path):
    """Somebody has it: an error that says so; afterwards it opens."""
    disk = lvm.disk(tmp_path / "a.img", MIB)
    holder = os.open(disk, os.O_RDWR | os.O_EXCL)
    with pytest.raises(InUse, match=r"cannot open .* exclusively"):
        Disk.open(disk, write=True, exclusive=True)
    os.close(holder)
    Disk.open(disk, write=True, exclusive=True).close()


def test_a_read_only_device_is_known_as_one(lvm, tmp_path):
    """losetup -r, blockdev --setro, write-protected media."""
    image = tmp_path / "a.img"
    image.write_bytes(bytes(MIB))
    done = subprocess.run(["losetup", "-r", "-f", "--show", str(image)], capture_output=True, text=True, check=True)
    lvm.devices.append(done.stdout.strip())
    with Disk.open(lvm.devices[-1]) as disk:
        assert disk.read_only


def test_a_path_leads_to_the_device_by_any_name(lvm, tmp_path):
    """What the user types is compared by device number."""
    disk = lvm.disk(tmp_path / "a.img", 16 * MIB)
    link = tmp_path / "link"
    link.symlink_to(disk)
    found = devices.discover(ours(lvm))
    named = devices.Named(found).find(str(link))
    assert named is not None
    assert named.path == disk


# -- locks ----------------------------------------------------------------------------------------


def lock_test(lvm: Lvm2) -> Locks:
    return Locks(f"{lvm.dir}/lock", wait=False)


@pytest.mark.parametrize("exclusive", [True, False])
def test_lvm2_waits_for_our_locks(lvm, tmp_path, exclusive):
    """With our lock held lvm2 may not write, and may read only beside a shared one."""
    lvm.run("vgcreate", "vg", lvm.disk(tmp_path / "a.img", 16 * MIB))
    wait = ("--config", "global/wait_for_locks=0")
    with lock_test(lvm).group("vg", exclusive=exclusive):
        lvm.run("vgchange", "--addtag", "x", "vg", *wait, status=5)
        lvm.run("vgs", "vg", *wait, status=5 if exclusive else 0)
    with lock_test(lvm).all_groups(exclusive=exclusive):
        lvm.run("vgcreate", "other", lvm.devices[0], *wait, status=5)
        lvm.run("vgs", *wait, status=5 if exclusive else 0)
    lvm.run("vgchange", "--addtag", "x", "vg", *wait)
    assert os.listdir(f"{lvm.dir}/lock") == []


def test_we_wait_for_lvm2s_locks(lvm, tmp_path):
    """While lvm2 asks its user about removing a group, the group is locked for us, and others are not."""
    lvm.run("vgcreate", "vg", lvm.disk(tmp_path / "a.img", 16 * MIB))
    lvm.create("vg", "-l1", "-n", "a")
    with subprocess.Popen(
        ["lvm", "vgremove", "--driverloaded", "n", "vg"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=ENV | {"LVM_SYSTEM_DIR": str(lvm.dir)},
    ) as theirs:  # fmt: skip
        assert theirs.stdin is not None
        assert theirs.stderr is not None
        said = b""
        while b"[y/n]" not in said:
            more = os.read(theirs.stderr.fileno(), 4096)
            assert more, said
            said += more
        with pytest.raises(LockFailed, match=r"held by process \d+ \(lvm\)"):
            lock_test(lvm).group("vg")
        with pytest.raises(LockFailed):
            lock_test(lvm).all_groups()
        lock_test(lvm).group("other", exclusive=True).release()
        theirs.stdin.write(b"n\n")
        theirs.stdin.close()
        theirs.wait(60)
    lock_test(lvm).group("vg", exclusive=True).release()
    assert os.listdir(f"{lvm.dir}/lock") == []


# -- archives and backups -------------------------------------------------------------------------


def listed_files(text: str) -> list[str]:
    """The paths in a list of archives; this version of lvm2 prints each file's name twice."""
    return [os.path.dirname(path) for path in re.findall(r"File:\s+(\S+)", text)]


def test_lvm2_lists_and_restores_our_archives(lvm, tmp_path):
    """Archive and backup written by vmgr: vgcfgrestore lists them and restores from them."""
    disk = lvm.disk(tmp_path / "a.img", 16 * MIB)
    lvm.run("vgcreate", "vg", disk)
    lvm.create("vg", "-l1", "-n", "a")
    config = ours(lvm)
    group = look(lvm).group("vg").group
    archives = Archives.from_config(config, autobackup=True)
    text = backup_text(group, TARGETS, text_header("Created *before* executing 'vmgr x'", config))
    path = archives.write_archive("vg", text, now=make_stamp().time)
    archives.write_backup("vg", text)
    listed = lvm.run("vgcfgrestore", "--list", "vg")
    assert listed_files(listed)[-2:] == [path, f"{lvm.dir}/backup/vg"]
    assert "Description:\tCreated *before* executing 'vmgr x'" in listed
    lvm.run("lvremove", "-y", "vg/a")
    lvm.run("vgcfgrestore", "-f", path, "vg")
    restored = look(lvm).group("vg").group
    assert evolve(restored, seqno=0) == evolve(group, seqno=0)


def test_we_list_lvm2s_archives(lvm, tmp_path):
    """Files made by lvm2 are found in the same order, numbered on, and can be read."""
    disk = lvm.disk(tmp_path / "a.img", 16 * MIB)
    on = ("--config", "backup/archive=1")
    lvm.run("vgcreate", *on, "vg", disk)
    for n in range(3):
        lvm.run("vgchange", *on, "--addtag", f"t{n}", "vg")
    archives = Archives.from_config(ours(lvm), autobackup=True)
    files = archives.list("vg")
    theirs = [path for path in listed_files(lvm.run("vgcfgrestore", "--list", "vg")) if "/archive/" in path]
    assert [file.path for file in files] == theirs
    assert len(decode_group(archives.read(files[-1].path), TARGETS).group.tags) == 2
    ours_path = archives.write_archive("vg", archives.read(files[-1].path), now=make_stamp().time)
    assert f"vg_{files[-1].index + 1:05}-" in ours_path
    lvm.run("vgchange", *on, "--addtag", "last", "vg")
    assert archives.list("vg")[-1].index == files[-1].index + 2


# -- the devices file -----------------------------------------------------------------------------


def test_both_read_and_write_one_devices_file(lvm, tmp_path):
    """lvmdevices makes it, vmgr reads it and adds to it, lvm2 goes on with it."""
    disks = [lvm.disk(tmp_path / f"{n}.img", 16 * MIB) for n in range(3)]
    for disk in disks:
        lvm.run("pvcreate", disk)
    use = ("--devicesfile", "test.devices")
    lvm.run("lvmdevices", *use, "--yes", "--adddev", disks[0])
    lvm.run("lvmdevices", *use, "--yes", "--adddev", disks[1])
    config = ours(lvm)

    def seen() -> set[str]:
        chosen = selection(config, devices_file="test.devices")
        scan = Scan(config, TARGETS, listed=chosen)
        try:
            return {pv.device for pv in scan.view().pvs()}
        finally:
            scan.close()

    def theirs() -> set[str]:
        return {row[0] for row in rows(lvm.run("pvs", *use, "--noheadings", "-opv_name"))}

    assert seen() == theirs() == set(disks[:2])
    chosen = selection(config, devices_file="test.devices")
    assert chosen is not None
    assert chosen.file is not None
    third = devices.Named(devices.discover(config)).find(disks[2])
    assert third is not None
    pv = look(lvm).pv(disks[2])
    chosen.file.change(add=[(third, pv.id)], command="vgextend")
    assert seen() == theirs() == set(disks)
    assert pv.id in lvm.run("lvmdevices", *use)
    lvm.run("lvmdevices", *use, "--deldev", disks[0])
    assert seen() == theirs() == set(disks[1:])


def test_devices_on_the_command_line(lvm, tmp_path):
    """--devices: those and no others."""
    disks = [lvm.disk(tmp_path / f"{n}.img", 16 * MIB) for n in range(2)]
    for disk in disks:
        lvm.run("pvcreate", disk)
    config = ours(lvm)
    scan = Scan(config, TARGETS, listed=selection(config, devices=(disks[1],)))
    assert [pv.device for pv in scan.view().pvs()] == [disks[1]]
    scan.close()
    assert lvm.run("pvs", "--devices", disks[1], "--noheadings", "-opv_name").split() == [disks[1]]


# -- configuration --------------------------------------------------------------------------------


def _lvmconfig(directory: Path, kind: str) -> dict[str, str]:
    """What ``lvmconfig`` prints, by path."""
    env = ENV | {"LVM_SYSTEM_DIR": str(directory)}
    done = subprocess.run(["lvmconfig", "--type", kind], env=env, capture_output=True, text=True, check=False)
    found, section = {}, ""
    for line in done.stdout.splitlines():
        line = line.strip().removeprefix("# ").strip()
        if line.endswith("{"):
            section = line[:-1].strip()
        elif "=" in line:
            key, _, value = line.partition("=")
            found[f"{section}/{key}"] = value
    return found


def test_defaults_are_lvm2s(tmp_path):
    """Every default in the table is the one that lvm2 prints."""
    (tmp_path / "lvm.conf").write_text("")
    theirs = _lvmconfig(tmp_path, "default")
    assert len(theirs) > 150
    for path, default in DEFAULTS.items():
        if path not in theirs or path == "global/umask":
            continue
        value = configuration.parse(f"{path}={theirs[path]}", "lvmconfig")[path]
        if isinstance(default, bool):
            assert bool(value) is default, path
        elif isinstance(default, str):
            places = {default.replace("{sys}", str(tmp_path)), default.replace("{sys}", "/etc/lvm")}
            assert value in places, path
        else:
            assert value == default, path
    undefined = {path for path, default in DEFAULTS.items() if default is None}
    assert undefined.isdisjoint(theirs)


def test_the_shipped_configuration_is_read(tmp_path):
    """Debian's lvm.conf sets nothing; with its comments taken off it says what lvm2's own reader says."""
    shipped = Path("/etc/lvm/lvm.conf")
    if not shipped.exists():
        pytest.skip("needs Debian's /etc/lvm/lvm.conf")
    text = shipped.read_text()
    assert {key: value for key, value in configuration.parse(text, "x").items() if not key.endswith("/")} == {}
    open_text = re.sub(r"^\t# (\w+ = [^=\n]*)$", r"\t\1", text, flags=re.M)
    (tmp_path / "lvm.conf").write_text(open_text)
    theirs = _lvmconfig(tmp_path, "current")
    ours_ = configuration.parse(open_text, "x")
    assert len(theirs) > 150
    for path, value in theirs.items():
        # Some sections are comments themselves; what was in them stands alone then.
        key = path if path in ours_ else path.partition("/")[2]
        if value:
            read = configuration.parse(f"{key}={value}", "x")[key]
            assert read == ours_[key] or (read,) == ours_[key], path  # a list of one is printed without brackets
