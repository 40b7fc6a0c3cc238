"""Kinds of volumes that are not there yet: one wording, whoever says it, and a way that exists."""

from __future__ import annotations

import pytest

from tests.support.cli_stage import Recorder
from tests.support.groups import STAMP, TARGETS, a_group, create
from vmgr.cli.registry import COMMANDS, load
from vmgr.core.amounts import SizeSpec
from vmgr.core.errors import UnknownKind
from vmgr.core.kinds import kind_of_option, kind_of_type, way_out
from vmgr.core.operations.convert import convert_volume
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.requests import ConvertVolume, CreateVolume, ExtendVolume
from vmgr.core.units import Extents

ONE = SizeSpec(Extents(1))

OF_NO_KIND = {
    # of snapshots and stripes, whose plugins bring them
    "chunksize", "merge", "mergesnapshot", "snapshot", "split", "splitsnapshot", "stripes", "stripesize",
    "virtualoriginsize",
    # of any volume
    "detachprofile", "metadataprofile", "name", "readahead", "startpoll", "usepolicies", "zero",
}  # fmt: skip
"""Options of LVM2's commands for volumes that vmgr refuses, and that are not of one kind of volume."""


def asked(way: str, type_: str) -> UnknownKind:
    group = create(a_group(20), "3")
    (lv,) = group.lvs
    ask = {
        "lvcreate": lambda: create_volume(group, CreateVolume(size=ONE, type=type_), TARGETS, STAMP),
        "lvextend": lambda: extend_volume(
            group, ExtendVolume(lv.id, SizeSpec(Extents(1), "+"), type=type_), TARGETS, STAMP
        ),
        "lvconvert": lambda: convert_volume(group, ConvertVolume(lv.id, (), type=type_), TARGETS, STAMP),
    }[way]
    with pytest.raises(UnknownKind) as caught:
        ask()
    return caught.value


@pytest.mark.parametrize("way", ["lvcreate", "lvextend", "lvconvert"])
@pytest.mark.parametrize(
    ("type_", "kind"),
    [("raid1", "RAID"), ("raid5_ls", "RAID"), ("mirror", "mirror"), ("thin-pool", "thin"), ("cache", "cache"),
     ("writecache", "cache"), ("vdo", "VDO")],
)  # fmt: skip
def test_a_type_of_lvm2_s_is_not_there_yet(way, type_, kind):
    error = asked(way, type_)
    assert error.message == f"vmgr does not make {kind} volumes yet (--type {type_})"
    assert error.hint.startswith(f"LVM2's own {way} does; after that vmgr lists the group")
    assert "does not change it until a plugin" in error.hint
    assert error.exit_code == 3


@pytest.mark.parametrize("way", ["lvcreate", "lvextend", "lvconvert"])
def test_for_a_stranger_s_type_nobody_is_sent_to_lvm2(way):
    error = asked(way, "delay")
    assert error.message == "unknown segment type 'delay'"
    assert "LVM2" not in error.hint
    assert "package of its plugin" in error.hint


@pytest.mark.parametrize(
    ("line", "kind", "option"),
    [
        ("lvcreate -m1 -l1 vg", "RAID", "--mirrors"),
        ("lvcreate --type raid1 -m1 -l1 vg", "RAID", "--mirrors"),
        ("lvcreate -T -l1 vg/p", "thin", "--thin"),
        ("lvcreate -V1g vg", "thin", "--virtualsize"),
        ("lvcreate -H -l1 vg/a", "cache", "--cache"),
        ("lvcreate --vdo -l1 vg", "VDO", "--vdo"),
        ("lvchange --syncaction check vg/a", "RAID", "--syncaction"),
        ("lvconvert -m1 vg/a", "RAID", "--mirrors"),
        ("lvconvert --split vg/a", "RAID", "--splitmirrors"),
        ("lvextend --poolmeta +1 vg/a", "thin", "--poolmetadatasize"),
        ("vgreduce --mirrorsonly vg", "mirror", "--mirrorsonly"),
    ],
)
def test_an_option_of_such_a_kind_says_the_same(monkeypatch, capsys, line, kind, option):
    app = Recorder().install(monkeypatch)
    if "--split " in line:
        line = line.replace("--split ", "--splitmirrors 1 ")
    assert app.run(*line.split()) == 3
    err = capsys.readouterr().err
    assert err.startswith(f"  vmgr does not make {kind} volumes yet ({option})\n")
    assert f"LVM2's own {line.split()[0]} does" in err
    assert app.calls == []


def test_every_option_that_is_refused_belongs_to_a_kind_or_is_known_to_belong_to_none():
    for name in COMMANDS:
        if name.startswith("lv"):
            for word in load(name).unsupported:
                option = word.partition("/")[0]
                assert bool(kind_of_option(option)) is (option not in OF_NO_KIND), f"{name} --{option}"


def test_flags_of_a_type_word_do_not_matter():
    assert kind_of_type("cache+CACHE_USES_CACHEVOL") == "cache"
    assert kind_of_type("linear") == kind_of_type("delay") == ""


def test_a_group_with_a_stranger_s_volumes_is_not_sent_to_lvm2():
    assert "LVM2's own tools" in way_out(["raid1", "cache+METADATA_FORMAT"])
    assert "install the plugin that made the volumes" in way_out(["raid1", "delay"])
