"""Every command turns its arguments into the request that they mean, and into nothing else."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.support.cli_stage import Recorder
from vmgr.core.amounts import Percent, SizeSpec
from vmgr.core.group_requests import Activate, ChangeGroup, ChangePv, CreateGroup, CreatePv
from vmgr.core.ids import Uuid
from vmgr.core.requests import (
    NO_NUMBERS,
    ChangeVolume,
    ConvertVolume,
    CreateVolume,
    ExtendVolume,
    ReduceVolume,
    RenameVolume,
    ResizeVolume,
)
from vmgr.core.subject import Subject
from vmgr.core.units import Extents, Sectors
from vmgr.outcome import RunOptions

GIB = Sectors(2097152)
MIB = Sectors(2048)


@pytest.fixture
def app(monkeypatch):
    monkeypatch.delenv("LVM_VG_NAME", raising=False)
    return Recorder().install(monkeypatch)


LV = Subject("vg", "lv")
LINES = [
    ("pvcreate /dev/sdb /dev/sdc", ("pvcreate", (("/dev/sdb", "/dev/sdc"), CreatePv()), {})),
    (
        "pvcreate -ff -Zn --metadatacopies 2 --metadatasize 2m --dataalignment 64 --labelsector 2 /dev/sdb",
        (
            "pvcreate",
            (
                ("/dev/sdb",),
                CreatePv(
                    metadata_copies=2,
                    metadata_size=Sectors(4096),
                    data_alignment=Sectors(128),
                    label_sector=2,
                    zero=False,
                ),
            ),
            {},
        ),
    ),
    (
        "pvcreate -u 123456-1234-1234-1234-1234-1234-123456 --norestorefile /dev/sdb",
        ("pvcreate", (("/dev/sdb",), CreatePv(uuid=Uuid("12345612341234123412341234123456"))), {}),
    ),
    ("pvremove -f /dev/sdb", ("pvremove", (("/dev/sdb",),), {})),
    ("pvchange -xn --addtag @t /dev/sdb", ("pvchange", (("/dev/sdb",), ChangePv(False, ("t",))), {})),
    ("pvchange -a -u", ("pvchange", (None, ChangePv(new_uuid=True)), {})),
    ("pvresize /dev/sdb --setphysicalvolumesize 1g", ("pvresize", (("/dev/sdb",), GIB), {})),
    (
        "vgcreate -s 4m -l 5 -p 6 --alloc cling --addtag a vg /dev/sdb",
        (
            "vgcreate",
            ("vg", ["/dev/sdb"], CreateGroup(Sectors(8192), 5, 6, "cling", ("a",)), CreatePv()),
            {},
        ),
    ),
    ("vgextend /dev/vg /dev/sdb", ("vgextend", ("vg", ["/dev/sdb"], CreatePv()), {"restore_missing": False})),
    (
        "vgreduce vg /dev/sdb",
        ("vgreduce", ("vg", ["/dev/sdb"]), {"all_unused": False, "missing": False}),
    ),
    (
        "vgreduce --removemissing --force vg",
        ("vgreduce", ("vg", []), {"all_unused": False, "missing": True}),
    ),
    ("vgremove -ff vg @t", ("vgremove", ((Subject("vg"), Subject(tag="t")),), {})),
    ("vgrename old new", ("vgrename", ("old", "new"), {})),
    (
        "vgrename 123456-1234-1234-1234-1234-1234-123456 new",
        ("vgrename", ("123456-1234-1234-1234-1234-1234-123456", "new"), {}),
    ),
    ("vgchange -ay", ("activate", ((), Activate("y")), {})),
    (
        "vgchange -aay --sysinit -K -P vg",
        ("activate", ((Subject("vg"),), Activate("ay", "partial", True)), {}),
    ),
    ("vgchange -ay --poll n vg", ("activate", ((Subject("vg"),), Activate("y")), {})),
    ("vgchange -ay --poll y vg", ("activate", ((Subject("vg"),), Activate("y")), {})),
    ("vgchange --poll y", ("poll", ((),), {})),
    ("vgchange --poll y vg", ("poll", ((Subject("vg"),),), {})),
    ("lvchange --poll y vg/lv", ("poll", ((LV,),), {})),
    ("lvchange --poll n -ay vg/lv", ("activate", ((LV,), Activate("y")), {})),
    ("vgchange --refresh vg", ("activate", ((Subject("vg"),), Activate("refresh")), {})),
    (
        "vgchange -x n --addtag a --deltag b -l 0 vg",
        (
            "vgchange",
            ((Subject("vg"),), ChangeGroup(max_lv=0, resizeable=False, add_tags=("a",), del_tags=("b",))),
            {},
        ),
    ),
    ("vgck vg --updatemetadata", ("vgcheck", ((Subject("vg"),),), {"update": True})),
    ("vgmknodes", ("make_nodes", ((),), {})),
    ("lvcreate -L1g vg", ("lvcreate", ("vg", CreateVolume(size=SizeSpec(GIB))), {})),
    (
        "lvcreate -l100%FREE -nhome vg /dev/sdb:0-9 @fast",
        (
            "lvcreate",
            (
                "vg",
                CreateVolume(
                    size=SizeSpec(Percent(100, "FREE")),
                    name="home",
                    pvs=("/dev/sdb:0-9", "@fast"),
                ),
            ),
            {},
        ),
    ),
    (
        "lvcreate -L +1g -n vg/home",
        ("lvcreate", ("vg", CreateVolume(size=SizeSpec(GIB), name="home")), {}),
    ),
    (
        "lvcreate -s -L1g -n snap /dev/vg/home",
        (
            "lvcreate",
            ("vg", CreateVolume(size=SizeSpec(GIB), name="snap", origin="home", options=(("snapshot", True),))),
            {},
        ),
    ),
    (
        "lvcreate -i 2 -I 64 --mode fast --discards n --type toy -l 10 vg",
        (
            "lvcreate",
            (
                "vg",
                CreateVolume(
                    size=SizeSpec(Extents(10)),
                    type="toy",
                    options=(("stripes", 2), ("stripesize", Sectors(128)), ("mode", "fast"), ("discards", False)),
                ),
            ),
            {},
        ),
    ),
    (
        "lvcreate -an -Zn -Wn -pr -kn -Cy -My --minor 7 -j 253 -r 256 --addtag a --setautoactivation n -l1 vg",
        (
            "lvcreate",
            (
                "vg",
                CreateVolume(
                    size=SizeSpec(Extents(1)),
                    alloc="contiguous",
                    tags=("a",),
                    read_only=True,
                    activate="n",
                    zero=False,
                    wipe_signatures=False,
                    activation_skip=False,
                    autoactivate=False,
                    read_ahead=256,
                    numbers=(253, 7),
                ),
            ),
            {},
        ),
    ),
    ("lvremove -f vg/lv /dev/vg/lv other", ("lvremove", ((LV, Subject("other")),), {})),
    ("lvextend -L+1g vg/lv", ("lvextend", ("vg", ExtendVolume("lv", SizeSpec(GIB, "+"))), {})),
    (
        "lvextend -i3 -l +100%PVS vg/lv /dev/sdb",
        (
            "lvextend",
            (
                "vg",
                ExtendVolume(
                    "lv", SizeSpec(Percent(100, "PVS"), "+"), options=(("stripes", 3),), pvs=("/dev/sdb",)
                ),
            ),
            {},
        ),
    ),
    ("lvextend vg/lv /dev/sdb", ("lvextend", ("vg", ExtendVolume("lv", pvs=("/dev/sdb",))), {})),
    (
        "lvreduce -L -1g -r -n -f vg/lv",
        ("lvreduce", ("vg", ReduceVolume("lv", SizeSpec(GIB, "-"))), {}),
    ),
    (
        "lvresize -l -5 --alloc anywhere vg/lv",
        ("lvresize", ("vg", ResizeVolume("lv", SizeSpec(Extents(5), "-"), alloc="anywhere")), {}),
    ),
    ("lvrename vg lv new", ("lvrename", ("vg", RenameVolume("lv", "new")), {})),
    ("lvrename /dev/vg/lv /dev/vg/new", ("lvrename", ("vg", RenameVolume("lv", "new")), {})),
    ("lvrename vg/lv new", ("lvrename", ("vg", RenameVolume("lv", "new")), {})),
    ("lvchange -ay vg/lv", ("activate", ((LV,), Activate("y")), {})),
    ("lvchange --refresh vg/lv", ("activate", ((LV,), Activate("refresh")), {})),
    (
        "lvchange -pr --addtag a --deltag b -rnone -ky --setautoactivation y -Mn vg/lv",
        (
            "lvchange",
            (
                (LV,),
                ChangeVolume(
                    read_only=True,
                    add_tags=("a",),
                    del_tags=("b",),
                    read_ahead=0,
                    numbers=NO_NUMBERS,
                    autoactivate=True,
                    activation_skip=True,
                ),
            ),
            {},
        ),
    ),
    (
        "lvconvert --merge -b -i 5 vg/lv vg/other",
        (
            "lvconvert",
            ((LV, Subject("vg", "other")), ConvertVolume(options=(("merge", True),))),
            {},
        ),
    ),
    (
        "lvconvert --type toy vg/lv /dev/sdb:1-2",
        ("lvconvert", ((LV,), ConvertVolume(type="toy", pvs=("/dev/sdb:1-2",))), {}),
    ),
    ("vgcfgbackup -f /tmp/%s vg", ("vgcfgbackup", ((Subject("vg"),), "/tmp/%s"), {})),
    ("vgcfgrestore -f /tmp/x vg", ("vgcfgrestore", ("vg", "/tmp/x"), {})),
    ("vgcfgrestore --list vg", ("archives", ("vg", ""), {})),
]


@pytest.mark.parametrize(("line", "call"), LINES, ids=[line for line, _ in LINES])
def test_a_command_line_becomes_the_request_that_it_means(app, line, call):
    assert app.run(*line.split()) == 0
    assert app.call == call
    assert not app.open


def test_a_change_of_properties_and_an_activation_are_two_requests(app):
    assert app.run("lvchange", "-an", "-pr", "vg/lv") == 0
    assert [name for name, _, _ in app.calls] == ["lvchange", "activate"]


REFUSED = [
    ("lvcreate vg", "needs --size or --extents"),
    ("lvcreate -L1", "lvcreate needs VG"),
    ("lvcreate -L1 -n one/lv two", "two groups are named"),
    ("lvcreate -L1 -n snapshot1 vg", "reserved"),
    ("lvcreate -L1 -n bad!name vg", "invalid logical volume name"),
    ("lvcreate -L-1 vg", "may not be negative"),
    ("lvcreate -L1 -l1 vg", "exclude each other"),
    ("lvcreate -L1 --thin vg", "vmgr does not make thin volumes yet (--thin)"),
    ("lvcreate -L1 --mode odd vg", "not one of fast, slow"),
    ("lvcreate -L1 -C y --alloc normal vg", "exclude each other"),
    ("lvextend vg/lv", "needs --size, --extents or physical volumes"),
    ("lvextend -L-1g vg/lv", "may not be negative"),
    ("lvextend -L1g vg", "needs its group's name"),
    ("lvreduce -L+1g vg/lv", "may not be relative"),
    ("lvreduce vg/lv", "needs one of --size, --extents"),
    ("lvremove", "lvremove needs VG|LV|Tag"),
    ("lvrename vg/lv other/new", "cannot go from group vg to group other"),
    ("lvrename vg lv", "needs its group's name"),
    ("lvrename vg lv raid_rimage_0", "reserved"),
    ("lvchange vg/lv", "needs one of"),
    ("lvchange -ay", "lvchange needs VG|LV|Tag"),
    ("lvconvert vg/lv", "needs an option"),
    ("pvcreate", "pvcreate needs PV"),
    ("pvcreate --restorefile f /dev/sdb", "--restorefile needs --uuid"),
    ("pvcreate -u 123456-1234-1234-1234-1234-1234-123456 /dev/sdb", "--uuid needs --restorefile"),
    ("pvcreate -u nonsense --norestorefile /dev/sdb", "invalid UUID"),
    ("pvcreate --labelsector 4 /dev/sdb", "sectors 0 to 3"),
    ("pvcreate --metadatacopies 3 /dev/sdb", "not one of 0, 1, 2"),
    ("pvchange -xy", "needs PVs, --select or --all"),
    ("pvchange --all", "needs one of"),
    ("vgcreate vg", "vgcreate needs PV"),
    ("vgcreate a/b /dev/sdb", "is not a group's name"),
    ("vgcreate --shared vg /dev/sdb", "--shared of LVM2's vgcreate is not supported"),
    ("vgreduce vg", "either PVs, --all or --removemissing"),
    ("vgreduce --all vg /dev/sdb", "either PVs, --all or --removemissing"),
    ("vgremove", "vgremove needs VG|Tag"),
    ("vgremove vg/lv", "is not a group's name"),
    ("vgrename a", "vgrename needs VG"),
    ("vgchange vg", "needs one of"),
    ("vgchange -ay --addtag x vg", "--addtag does not go with an activation"),
    ("vgchange --systemid x", "exactly one group"),
    ("vgcfgrestore", "vgcfgrestore needs VG"),
]


@pytest.mark.parametrize(("line", "says"), REFUSED, ids=[line for line, _ in REFUSED])
def test_a_command_line_that_means_nothing_is_refused_and_nothing_is_asked(app, capsys, line, says):
    assert app.run(*line.split()) == 3
    assert app.calls == []
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.endswith(")\n")
    assert all(text.startswith("  ") for text in err.splitlines())


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], RunOptions()),
        (["--test", "-y"], RunOptions(test=True, yes=True)),
        (["--config", "devices/dir=/x", "--nolocking"], RunOptions(config=("devices/dir=/x",), locking=False)),
        (["--devices", "/dev/a,/dev/b", "--devices", "/dev/c"], RunOptions(devices=("/dev/a", "/dev/b", "/dev/c"))),
        (["--devicesfile", ""], RunOptions(devices_file="")),
        (["--driverloaded", "n", "--noudevsync"], RunOptions(use_kernel=False, udev_sync=False)),
        (
            ["-An", "--commandprofile", "c"],
            RunOptions(command_profile="c", autobackup=False),
        ),
    ],
)
def test_common_options_say_how_a_command_is_run(app, monkeypatch, words, options):
    monkeypatch.delenv("LVM_COMMAND_PROFILE", raising=False)
    assert app.run("lvremove", "vg/lv", *words) == 0
    command = " ".join(["lvremove", "vg/lv", *words])
    assert app.options == evolve(options, command=command)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("lvremove -ff vg/lv", RunOptions(force=2)),
        ("pvcreate -ff /dev/sdb", RunOptions(force=2)),
        ("vgreduce --removemissing --force vg", RunOptions(force=1)),
        ("lvextend -L1g -r -n vg/lv", RunOptions(fs="resize", check_fs=False)),
        ("lvreduce -L1g --fs checksize --fsmode offline -f vg/lv",
         RunOptions(fs="checksize", fs_mode="offline", force=1)),
        ("lvconvert --merge -b -i 5 vg/lv", RunOptions(background=True, interval=5)),
        ("vgchange -ay --poll n vg", RunOptions(poll=False)),
        ("lvchange -ay --sysinit vg/lv", RunOptions(poll=False, ignore_lock_failure=True)),
        ("vgchange -ay --poll y vg", RunOptions()),
    ],
)  # fmt: skip
def test_what_is_no_property_of_a_volume_says_how_the_command_is_run(app, line, options):
    assert app.run(*line.split()) == 0
    assert app.options == evolve(options, command=line)


def test_a_profile_is_a_metadata_profile_where_the_command_keeps_one(app):
    assert app.run("vgcreate", "vg", "/dev/a", "--profile", "p") == 0
    assert (app.options.command_profile, app.options.metadata_profile) == ("", "p")
    assert app.call[1][2].profile == "p"


@pytest.mark.parametrize("words", [["vgs"], ["vgextend", "vg", "/dev/a"], ["lvremove", "vg/lv"]])
def test_elsewhere_a_profile_is_a_command_profile(app, words):
    assert app.run(*words, "--profile", "p") == 0
    assert (app.options.command_profile, app.options.metadata_profile) == ("p", "")


def test_the_environment_names_a_group_and_a_command_profile(app, monkeypatch):
    monkeypatch.setenv("LVM_VG_NAME", "def")
    monkeypatch.setenv("LVM_COMMAND_PROFILE", "prof")
    assert app.run("lvcreate", "-L1g", "-n", "home") == 0
    assert app.call[1][0] == "def"
    assert app.options.command_profile == "prof"
