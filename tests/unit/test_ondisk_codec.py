"""Groups to metadata text and back."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ondisk import HEADER, NO_TARGETS, TARGETS, Rows, groups
from vmgr.core.errors import DamagedMetadata, InvalidGroup, Refused, VmgrError
from vmgr.core.ids import LvName, Tag, Uuid, VgName
from vmgr.core.model import (
    LogicalVolume,
    LvArea,
    PhysicalVolume,
    PvArea,
    Section,
    Segment,
    UnknownBody,
    VolumeGroup,
)
from vmgr.core.units import Extents, Sectors
from vmgr.ondisk import fast
from vmgr.ondisk.codec import decode_group, encode_group, to_bytes
from vmgr.ondisk.decode import decode_any
from vmgr.ondisk.encode import Pieces, with_comments

PV = PhysicalVolume(Uuid("p" * 32), "/dev/sda", ("ALLOCATABLE",), Sectors(131072), Sectors(2048), Extents(15))
LV = LogicalVolume(
    Uuid("l" * 32),
    LvName("lvol0"),
    created=1700000000,
    host="h",
    segments=(Segment(Extents(0), Extents(3), Rows((PvArea(PV.id, Extents(0), Extents(3)),))),),
)
GROUP = VolumeGroup(Uuid("v" * 32), VgName("vg"), 7, Sectors(8192), pvs=(PV,), lvs=(LV,))

TEXT = encode_group(GROUP, TARGETS, HEADER)


def linear(n: int, **changes: object) -> LogicalVolume:
    area = PvArea(PV.id, Extents(n), Extents(1))
    segment = Segment(Extents(0), Extents(1), Rows((area,)))
    return evolve(LV, id=Uuid(f"{n:032}"), name=LvName(f"lv{n}"), segments=(segment,), **changes)


@given(groups(), st.booleans())
def test_decode_after_encode_is_the_identity(group: VolumeGroup, backup: bool) -> None:
    """A group with anything that the format can hold comes back as it was, from a disk and from a backup."""
    text = encode_group(group, TARGETS, HEADER, backup=backup, date=str)
    decoded = decode_group(to_bytes(text), TARGETS)
    assert decoded.group == group
    assert decoded.description == HEADER.description
    assert decoded.creation_host == HEADER.host
    assert decoded.creation_time == HEADER.time


@given(groups())
def test_a_backup_is_the_disks_text_with_tabs_and_comments(group: VolumeGroup) -> None:
    """Put together from pieces, it is what going through the whole text line by line gives."""
    backup, bare = (encode_group(group, TARGETS, HEADER, backup=b, date=str) for b in (True, False))
    header = backup[: backup.index(f"{group.name} {{\n")]
    body = bare.removesuffix(header)
    assert backup == header + with_comments(body, int(group.extent_size), str)


@given(groups(), st.data())
def test_a_backup_with_the_pieces_of_another_is_as_without(group: VolumeGroup, data: st.DataObject) -> None:
    """Whatever changed in between: volumes renamed, made, taken away or moved, PVs, the owner, the extent size."""
    pieces = Pieces()
    encode_group(group, TARGETS, HEADER, backup=True, date=str, pieces=pieces)
    lvs = data.draw(st.permutations(group.lvs))
    unused = [lv for lv in lvs if not any(lv.id in _names_of(other) for other in lvs)]
    gone = data.draw(st.sampled_from([None, *unused]))
    lvs = [lv for lv in lvs if lv is not gone]
    if lvs:
        at = data.draw(st.integers(0, len(lvs) - 1))
        lvs[at] = evolve(lvs[at], name=LvName(data.draw(st.sampled_from([lvs[at].name, "pv0", "renamed"]))))
    extent_size = data.draw(st.sampled_from([group.extent_size, Sectors(2048)]))
    system_id = data.draw(st.sampled_from([group.system_id, "", "host"]))
    pvs = tuple(data.draw(st.permutations(group.pvs)))
    changed = evolve(group, lvs=tuple(lvs), pvs=pvs, extent_size=extent_size, system_id=system_id)
    again = encode_group(changed, TARGETS, HEADER, backup=True, date=str, pieces=pieces)
    assert again == encode_group(changed, TARGETS, HEADER, backup=True, date=str)


ONE = Extents(0), Extents(1)


@pytest.mark.parametrize(
    "changes",
    [
        {"system_id": "host"},
        {"extent_size": Sectors(2048)},
        {"pvs": (evolve(PV, id=Uuid("q" * 32)), PV)},
        {"lvs": (linear(0), evolve(linear(1), name=LvName("other")), linear(2))},
        {"lvs": (linear(0), evolve(linear(1), name=LvName("pv0")), linear(2))},
        {"lvs": (linear(0), evolve(linear(1), tags=(Tag("t"),)), linear(2))},
    ],
)
def test_pieces_are_not_kept_where_their_text_has_changed(changes: dict[str, object]) -> None:
    on_one = evolve(linear(0), segments=(Segment(Extents(0), Extents(1), Rows((LvArea(linear(1).id, *ONE),))),))
    group = evolve(GROUP, lvs=(on_one, linear(1), linear(2)))
    changed = evolve(group, **changes)
    if "lvs" in changes:
        changed = evolve(changed, lvs=(on_one, *changed.lvs[1:]))
    pieces = Pieces()
    encode_group(group, TARGETS, HEADER, backup=True, pieces=pieces)
    again = encode_group(changed, TARGETS, HEADER, backup=True, pieces=pieces)
    assert again == encode_group(changed, TARGETS, HEADER, backup=True)


def _names_of(lv: LogicalVolume) -> set[Uuid]:
    return {r.lv for r in lv.references()} | {a.lv for a in lv.areas() if isinstance(a, LvArea)}


@given(groups())
def test_both_readers_agree(group: VolumeGroup) -> None:
    """The fast reader gives what the general one gives, and takes every text that is written here."""
    text = encode_group(group, TARGETS, HEADER)
    assert fast.decode_canonical(text, NO_TARGETS) in (decode_any(text, NO_TARGETS), None)
    quick = fast.decode_canonical(text, TARGETS)
    assert quick in (decode_any(text, TARGETS), None)
    if group.lvs and all(lv.segments for lv in group.lvs) and not group.extra:
        assert quick is not None


@given(groups(), st.data())
def test_both_readers_agree_on_damage(group: VolumeGroup, data: st.DataObject) -> None:
    """On a text that was tampered with the fast reader gives the general one's value or error, or passes it on."""
    text = encode_group(group, TARGETS, HEADER)
    at = data.draw(st.integers(0, len(text) - 1))
    change = data.draw(
        st.sampled_from(["", '"', "}", "{", "#", "\n", "=", "1", "0", "\\", "[", ",", "x = 1\n", " ", "\0"])
    )
    text = text[:at] + change + text[at + data.draw(st.integers(0, 3)) :]

    def outcome(read: object) -> object:
        try:
            return read(text, TARGETS)  # type: ignore[operator]
        except VmgrError as error:
            return type(error)

    quick = outcome(fast.decode_canonical)
    if quick is not None:
        assert quick == outcome(decode_any)


@given(groups())
def test_without_plugins_everything_is_kept(group: VolumeGroup) -> None:
    """A reader that knows no segment type at all writes back a text that means the same."""
    text = encode_group(group, TARGETS, HEADER)
    unknown = decode_group(text, NO_TARGETS).group
    assert decode_group(encode_group(unknown, NO_TARGETS, HEADER), TARGETS).group == group


def test_the_fast_reader_does_the_reading() -> None:
    """Linear volumes in LVM2's layout never reach the general reader; one odd volume among them may."""
    group = evolve(GROUP, lvs=tuple(linear(n) for n in range(60)))
    odd = evolve(group, lvs=(*group.lvs, evolve(LV, read_ahead=5), linear(70, tags=(Tag("t#"), Tag("u")))))
    with (
        patch("vmgr.ondisk.decode.decode_any", side_effect=AssertionError),
        patch("vmgr.ondisk.fast.read_lv", side_effect=AssertionError),
    ):
        text = encode_group(group, TARGETS, HEADER)
        assert len(text) > 16384
        assert decode_group(text, TARGETS).group == group
    with patch("vmgr.ondisk.decode.decode_any", side_effect=AssertionError):
        assert decode_group(encode_group(odd, TARGETS, HEADER), TARGETS).group == odd


def test_volumes_hidden_in_a_string_are_not_read() -> None:
    """A string that looks like the section of the volumes is a string to both readers."""
    volumes = encode_group(GROUP, TARGETS, HEADER).split("logical_volumes {\n")[1].split("}\n}\n}\n")[0]
    lure = f"x = '\nlogical_volumes {{\n{volumes}}}\n}}\n}}\n\n'\nlogical_volumes {{\n}}\n"
    empty = encode_group(evolve(GROUP, lvs=()), TARGETS, HEADER)
    text = empty.replace("\nphysical_volumes", f"\n{lure}physical_volumes")
    decoded = decode_any(text, TARGETS).group
    assert decoded.lvs == ()
    assert dict(decoded.extra)["x"].startswith("\nlogical_volumes")
    quick = fast.decode_canonical(text, TARGETS)
    assert quick is None or quick.group == decoded


def test_a_nul_in_a_text_is_damage() -> None:
    """LVM2 would stop reading there; neither reader takes such a text."""
    text = TEXT.replace('creation_host = "h"', 'creation_host = "h\0"')
    assert fast.decode_canonical(text, TARGETS) is None
    with pytest.raises(DamagedMetadata, match="NUL"):
        decode_any(text, TARGETS)
    assert decode_group(to_bytes(TEXT) + b"\0", TARGETS).group == GROUP


def test_a_host_without_a_time() -> None:
    """Where a volume was made counts for nothing if it is not said when; LVM2 refuses such a text."""
    text = TEXT.replace("creation_time = 1700000000\ncreation_host", "creation_host")
    assert decode_any(text, TARGETS).group.lvs[0].host == ""


def test_write_and_write_locked() -> None:
    """A text with both has WRITE once in the model."""
    volume = TEXT.index("lvol0 {")
    text = TEXT[:volume] + TEXT[volume:].replace("flags = []", 'flags = ["WRITE_LOCKED", "X"]')
    (lv,) = decode_group(text, TARGETS).group.lvs
    assert (lv.status, lv.flags) == (("READ", "WRITE", "VISIBLE"), ("X",))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stripe_count = 1", "start_extent = 0"),
        ("stripe_count = 1", "tags = 1"),
        ("stripe_count = 1", "stripes = 1"),
        ("stripes = [", "tags = ["),
        ("stripes = [", "type = ["),
    ],
)
def test_fields_in_the_places_of_others(old: str, new: str) -> None:
    """A volume in the common shape whose fields have the segment's own names is not read as one."""
    text = TEXT.replace(old, new)
    assert fast.decode_canonical(text, NO_TARGETS) is None
    with pytest.raises(DamagedMetadata):
        decode_any(text, NO_TARGETS)


def test_status_of_a_locked_group() -> None:
    """In a group with an owner, LVM2 writes WRITE as the flag WRITE_LOCKED; the model has it in its usual place."""
    group = evolve(GROUP, system_id="host.example", lvs=(LV, evolve(linear(1), status=("READ", "VISIBLE"))))
    text = encode_group(group, TARGETS, HEADER)
    assert 'status = ["RESIZEABLE", "READ"]\nflags = ["WRITE_LOCKED"]\n' in text
    assert 'status = ["READ", "VISIBLE"]\nflags = ["WRITE_LOCKED"]\n' in text
    assert 'status = ["READ", "VISIBLE"]\nflags = []\n' in text
    assert decode_group(text, TARGETS).group == group
    # The owner is gone: the next text has WRITE back.
    free = encode_group(evolve(decode_group(text, TARGETS).group, system_id=""), TARGETS, HEADER)
    assert "WRITE_LOCKED" not in free


def test_areas_of_unknown_segments_keep_their_pv() -> None:
    """PVs are numbered anew in each text; an unknown segment's areas stay on the PVs that they were on."""
    other = evolve(PV, id=Uuid("q" * 32), device="/dev/sdb")
    text = encode_group(evolve(GROUP, pvs=(other, PV)), TARGETS, HEADER)
    assert '"pv1", 0' in text
    group = decode_group(text, NO_TARGETS).group
    text = encode_group(evolve(group, pvs=(group.pvs[1], group.pvs[0])), NO_TARGETS, HEADER)
    assert '"pv0", 0' in text
    assert decode_group(text, TARGETS).group.lvs == (LV,)


def test_a_volume_called_like_a_pv_section() -> None:
    """A volume may be called pv0; no PV's section is called so then, and areas of both are told apart."""
    hidden = evolve(LV, name=LvName("pv0"))
    upper = evolve(
        linear(1), segments=(Segment(Extents(0), Extents(3), Rows((LvArea(hidden.id, Extents(0), Extents(3)),))),)
    )
    group = evolve(GROUP, lvs=(hidden, upper))
    assert decode_group(encode_group(group, TARGETS, HEADER), TARGETS).group == group


def test_segments_may_stand_in_any_order() -> None:
    """As in LVM2, the sections of a volume's segments are sorted by their start."""
    first = Segment(Extents(0), Extents(2), UnknownBody("zero", ()))
    second = Segment(Extents(2), Extents(5), UnknownBody("error", ()))
    group = evolve(GROUP, lvs=(evolve(LV, segments=(second, first)),))
    (lv,) = decode_group(encode_group(group, TARGETS, HEADER), TARGETS).group.lvs
    assert lv.segments == (first, second)
    assert lv.size == 7


def test_an_unknown_policy_is_kept_until_another_is_set() -> None:
    """As in LVM2 an unknown policy counts as the default; here it is written back, too."""
    text = encode_group(GROUP, TARGETS, HEADER).replace("segment_count", 'allocation_policy = "odd"\nsegment_count')
    group = decode_group(text, TARGETS).group
    (lv,) = group.lvs
    assert (lv.alloc, lv.extra) == ("inherit", (("allocation_policy", "odd"),))
    assert encode_group(group, TARGETS, HEADER) == text
    changed = evolve(group, lvs=(evolve(lv, alloc="cling"),))
    assert decode_group(encode_group(changed, TARGETS, HEADER), TARGETS).group.lvs[0].alloc == "cling"


def test_read_ahead() -> None:
    """None is -1 in the text, auto is not there at all, and 0 in an old text is auto."""
    text = encode_group(evolve(GROUP, lvs=(evolve(LV, read_ahead=0),)), TARGETS, HEADER)
    assert "\nread_ahead = -1\n" in text
    assert decode_group(text, TARGETS).group.lvs[0].read_ahead == 0
    assert "read_ahead" not in encode_group(GROUP, TARGETS, HEADER)
    old = text.replace("read_ahead = -1", "read_ahead = 0")
    assert decode_group(old, TARGETS).group.lvs[0].read_ahead is None


def test_a_sections_order_and_unknown_sections() -> None:
    """Sections that the model does not know stand behind the volumes, as LVM2's historical volumes do."""
    group = evolve(GROUP, extra=(("historical_logical_volumes", Section((("old", Section((("id", "x"),))),))),))
    text = encode_group(group, TARGETS, HEADER)
    assert text.index("logical_volumes {") < text.index(
        '\nhistorical_logical_volumes {\n\nold {\nid = "x"\n}\n}\n}\n'
    )
    assert decode_group(text, TARGETS).group == group


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("Text Format Volume Group", "Something", "not the text of a volume group"),
        ("version = 1\n", "version = 2\n", "version 2 of the format"),
        ("vg {\n", "v%g {\n", "invalid volume group name"),
        ('format = "lvm2"', 'format = "lvm1"', "is of format 'lvm1'"),
        ("seqno = 7\n", "", "group vg has no seqno"),
        ("seqno = 7\n", "seqno = -1\n", "seqno = -1 is not valid"),
        ("extent_size = 8192", "extent_size = 0", "extents of size 0"),
        ("physical_volumes {", "other_volumes {", "no section physical_volumes"),
        ("pe_start = 2048\n", "", "physical volume pv0 has no pe_start"),
        ("pe_start = 2048\n", 'pe_start = "2048"\n', "pe_start = '2048' is not valid"),
        ('status = ["ALLOCATABLE"]', "", "has no status"),
        ('status = ["ALLOCATABLE"]', "status = [1]", "not a list of strings"),
        ("llllll-", "lllll.-", "invalid UUID"),
        ("segment_count = 1", "segment_count = 2", "has 1 segments, but segment_count = 2"),
        ("start_extent = 0", "start_extent = 1", "starts at extent 1 instead of 0"),
        ("extent_count = 3", "extent_count = 4294967296", "is not valid"),
        ('type = "striped"\n', "", "volume lvol0, segment1 has no type"),
        ('"pv0", 0', '"pv9", 0', "refers to 'pv9'"),
        ('"pv0", 0', '"pv0", -1', "starts outside"),
        ("stripe_count = 1", "stripe_count = 2", "volume lvol0, segment1: stripes"),
        ("lvol0 {", ".. {", "invalid logical volume name"),
        ("lvol0 {", "lvol0 = 1\nx {", "is in the place of a volume"),
        ("version = 1\n", "version = 1\nother { }\n", "2 groups"),
    ],
)  # fmt: skip
def test_texts_that_make_no_sense(old: str, new: str, what: str) -> None:
    """Each is an error that says where and what, from either reader."""
    assert TEXT.count(old) == 1
    with pytest.raises(DamagedMetadata, match=what):
        decode_any(TEXT.replace(old, new), TARGETS)
    many = evolve(GROUP, lvs=(LV, *(linear(n) for n in range(10, 70))))
    text = encode_group(many, TARGETS, HEADER)
    with pytest.raises(DamagedMetadata, match=what):
        decode_group(text.replace(old, new, 1), TARGETS)


def test_segments_on_what_is_not_there_are_not_written() -> None:
    """A group whose segments refer to nothing in it is invalid, and no text is made of it."""
    with pytest.raises(InvalidGroup, match="physical volume"):
        encode_group(evolve(GROUP, pvs=()), TARGETS, HEADER)
    lost = Segment(Extents(0), Extents(1), Rows((LvArea(Uuid("x" * 32), Extents(0), Extents(1)),)))
    with pytest.raises(InvalidGroup, match="volume x"):
        encode_group(evolve(GROUP, lvs=(evolve(LV, segments=(lost,)),)), TARGETS, HEADER)


def test_strings_that_cannot_be_written_are_refused() -> None:
    """A NUL would end the text for LVM2."""
    with pytest.raises(Refused):
        encode_group(evolve(GROUP, lvs=(evolve(LV, host="a\0b"),)), TARGETS, HEADER)


def test_a_header_cannot_break_out_of_its_comment() -> None:
    """A newline in what stands in comments does not become metadata."""
    text = encode_group(GROUP, TARGETS, HEADER._replace(system="x\nvg2 {\n}", date="d\nx {}", program="p\ny {}"))
    assert decode_group(text, TARGETS).group == GROUP
