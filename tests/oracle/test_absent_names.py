"""What the command line names and is not there: the same status as LVM2's, and a message that has its words.

Devices, files, groups, volumes, tags, profiles, settings, columns. A command that says nothing leaves a typing
mistake to be found by its consequences.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.equal_disks import EqualDisks
from tests.support.lvm2 import requires_lvm2
from vmgr.system.disregarded import unknown

pytestmark = requires_lvm2

COLUMNS = ("lvs -S nosuch=1", "lvs -o nosuch", "lvs -O nosuch", "lvremove -y -S nosuch=1")
TAGS = ("pvs", "vgs", "lvs", "pvresize", "vgchange -an", "vgremove", "lvchange -an", "lvremove")
"""Commands for which a tag that nothing carries means nothing to do, as for LVM2: it says nothing either."""

ROWS = [
    ("lvs --devices /dev/nosuch", 0, "device not found for /dev/nosuch"),
    ("pvs --devices D1,/dev/nosuch", 0, "device not found for /dev/nosuch"),
    ("vgs --devices /dev/null", 0, "device not found for /dev/null"),
    ("pvscan --devices /dev/nosuch", 0, "device not found for /dev/nosuch"),
    ("vgchange -an --devices /dev/nosuch", 0, "device not found for /dev/nosuch"),
    ("lvremove -y --devices /dev/nosuch vg/a", 5, 'volume group "vg" not found'),
    ("pvcreate --devices /dev/nosuch D4", 5, "device not found for /dev/nosuch"),
    ("lvs --devices D1 --devicesfile x", 3, "a --devices list cannot be used with --devicesfile"),
    ("lvs --devicesfile a/b", 3, "invalid devices file name"),
    ("lvs --config nosuch/x=1", 0, 'configuration section "nosuch" unknown.'),
    ("lvs --config devices/nosuch=1", 0, 'configuration setting "devices/nosuch" unknown.'),
    ("lvs --config devices{nosuch=1}", 0, 'configuration setting "devices/nosuch" unknown.'),
    ("lvs --config nosuch=1", 0, 'configuration setting "nosuch" invalid. it\'s not part of any section.'),
    ("lvs --profile nosuch", 5, "nosuch.profile"),
    ("lvs --commandprofile nosuch", 5, "nosuch.profile"),
    ("vgcreate --metadataprofile nosuch new D4", 5, "nosuch.profile"),
    ("lvcreate --profile nosuch -an -Zn -Wn -l1 vg", 5, "nosuch.profile"),
    ("vgcfgrestore --list --file /nosuch vg", 5, "/nosuch"),
    ("vgcfgrestore --file /nosuch vg", 5, "/nosuch"),
    ("vgcfgbackup nosuch", 5, 'volume group "nosuch" not found'),
    ("pvcreate --restorefile /nosuch --uuid 111111-1111-1111-1111-1111-1111-111111 D4", 3, "/nosuch"),
    ("pvs /dev/nosuch", 5, "/dev/nosuch"),
    ("pvdisplay /dev/nosuch", 5, "/dev/nosuch"),
    ("pvremove /dev/nosuch", 5, "no device found for /dev/nosuch"),
    ("pvresize /dev/nosuch", 5, "/dev/nosuch"),
    ("pvcreate /dev/nosuch", 5, "no device found for /dev/nosuch"),
    ("vgextend vg /dev/nosuch", 5, "no device found for /dev/nosuch"),
    ("vgreduce vg /dev/nosuch", 5, "/dev/nosuch"),
    ("lvcreate -an -Zn -Wn -l1 vg /dev/nosuch", 5, "/dev/nosuch"),
    ("lvs nosuch", 5, 'volume group "nosuch" not found'),
    ("lvs nosuch/x", 5, 'volume group "nosuch" not found'),
    ("lvs vg/nosuch", 5, "nosuch"),
    ("lvremove -y vg/nosuch", 5, "nosuch"),
    ("lvchange --addtag x vg/nosuch", 5, "nosuch"),
    ("lvrename vg nosuch b", 5, "nosuch"),
    ("vgck nosuch", 5, 'volume group "nosuch" not found'),
    ("vgdisplay nosuch", 5, 'volume group "nosuch" not found'),
    ("vgrename nosuch other", 5, "nosuch"),
    *((f"{command} @nosuch", 0, "") for command in TAGS),
    ("lvs --journal nosuch", 0, "ignoring unrecognized journal value"),
    ("lvs --journal output,debug", 0, "ignoring unrecognized journal value"),
    ("vgchange --addtag x --journal nosuch nosuch", 5, "ignoring unrecognized journal value"),
    # There is no device mapper here; what is not there is told all the same.
    ("lvchange -an vg/nosuch", 5, "nosuch"),
    ("lvchange -ay vg/nosuch", 5, "nosuch"),
    ("lvchange --refresh vg/nosuch", 5, "nosuch"),
    ("lvchange --poll y vg/nosuch", 5, "nosuch"),
    ("lvchange --poll y nosuch", 5, 'volume group "nosuch" not found'),
    ("vgchange --poll y nosuch", 5, 'volume group "nosuch" not found'),
    ("vgchange -ay nosuch", 5, 'volume group "nosuch" not found'),
    ("vgchange --refresh nosuch", 5, 'volume group "nosuch" not found'),
    ("lvconvert --merge vg/nosuch", 5, "nosuch"),
    ("lvcreate -s -l1 -n s vg/nosuch", 5, "nosuch"),
    ("lvcreate -l1 -n x vg /dev/nosuch", 5, "/dev/nosuch"),
    ("lvcreate -l1 -n x nosuch", 5, 'volume group "nosuch" not found'),
    ("lvcreate -l1 -n a vg", 5, "already exists"),
    ("lvcreate -l100000 -n x vg", 5, "insufficient free space"),
]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EqualDisks]:
    with EqualDisks(tmp_path_factory.mktemp("absent")) as made:
        yield made


@pytest.mark.parametrize(("command", "status", "words"), ROWS, ids=[row[0] for row in ROWS])
def test_a_name_of_nothing_is_told(disks: EqualDisks, command: str, status: int, words: str) -> None:
    before = disks.before("volumes", command)
    theirs = disks.by_lvm2("volumes", command)
    mine = disks.by_vmgr("volumes", command)
    assert theirs.status == status, theirs.said
    assert mine.status == status, mine.said
    for result in (theirs, mine):
        assert words in (result.said + result.output).lower()
        assert result.tree == before


@pytest.mark.parametrize("command", ["lvs", "pvs", "vgchange -an", "vgextend vg D4", "lvremove -y vg/a"])
def test_a_devices_file_that_is_not_there_is_refused(disks: EqualDisks, command: str) -> None:
    """As by LVM2 2.03.40: without it every device would be used."""
    before = disks.before("volumes", command)
    mine = disks.by_vmgr("volumes", f"{command} --devicesfile nosuch")
    assert mine.status == 5
    assert "devices file not found: " in mine.said
    assert mine.tree == before


@pytest.mark.parametrize("command", COLUMNS)
def test_a_column_of_nothing_is_told(disks: EqualDisks, command: str) -> None:
    """With status 3, for a wrong command line, where LVM2 ends with 5; vmgr-lvm2(7) says so."""
    before = disks.before("volumes", command)
    mine = disks.by_vmgr("volumes", command)
    assert (mine.status, mine.tree) == (3, before)
    assert "'nosuch'" in mine.said


def test_a_setting_is_not_checked_where_the_configuration_says_so(disks: EqualDisks) -> None:
    for result in (
        disks.by_lvm2("volumes", "lvs --config 'config/checks=0 devices/nosuch=1'"),
        disks.by_vmgr("volumes", "lvs --config 'config/checks=0 devices/nosuch=1'"),
    ):
        assert result.status == 0
        assert "nosuch" not in result.said


def test_no_setting_of_lvm2_is_called_unknown(disks: EqualDisks) -> None:
    names = [name for name in disks.lvm.run("lvmconfig", "--type", "list").split() if "/" in name]
    assert len(names) > 200
    assert list(unknown(names)) == []
