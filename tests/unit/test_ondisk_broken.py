"""Texts with right checksums that make no sense: shown as far as they are understood, and nothing crashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ondisk import HEADER
from tests.support.stacks import TARGETS
from vmgr.core.change import Change
from vmgr.core.errors import DamagedMetadata
from vmgr.core.model import UnknownBody, VolumeGroup
from vmgr.core.plan import plan_change
from vmgr.core.structure import broken_rules
from vmgr.core.table import LiveDevice
from vmgr.core.takedown import live_volumes
from vmgr.core.validate import validate
from vmgr.core.view import GroupView, SystemView
from vmgr.ondisk.codec import decode_group, encode_group
from vmgr.ondisk.decode import decode_any
from vmgr.ondisk.fast import decode_canonical
from vmgr.report import DisplayRequest, ReportRequest, prepare
from vmgr.report.displays import display

GOLDEN = Path(__file__).parent.parent / "golden"
FILES = [path.read_text() for path in sorted(GOLDEN.glob("lvm2-*/metadata.vg"))]
DISKS = [encode_group(decode_group(text, TARGETS).group, TARGETS, HEADER) for text in FILES]
SNAPSHOT = (GOLDEN / "lvm2-snapshot" / "metadata.vg").read_text()

_TOKEN = re.compile(r'"[^"\n]*"|\b\d+\b|[a-z_]+(?= =)|\n\t*\}\n').finditer
NUMBERS = ("0", "-1", "7", "4294967295", "4294967296", "9223372036854775807", "18446744073709551616", "1.5", '"x"')


@st.composite
def broken_texts(draw: st.DrawFn, texts: list[str]) -> str:
    """A text of LVM2's with a few words taken out, doubled, or put in the place of others."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        tokens = [match.span() for match in _TOKEN(text)]
        begin, end = draw(st.sampled_from(tokens))
        first, last = draw(st.sampled_from(tokens))
        old = text[begin:end]
        new = draw(st.sampled_from([text[first:last], "", old * 2, *(NUMBERS if old.isdigit() else ())]))
        text = text[:begin] + new + text[end:]
    return text


def live_devices(group: VolumeGroup) -> dict[str, LiveDevice]:
    """Every volume is active, and so is one that the text does not have."""
    ids = [*(lv.id for lv in group.lvs), "z" * 32]
    uuids = [f"LVM-{group.id}{lv}" for lv in dict.fromkeys(ids)]
    return {uuid: LiveDevice(f"vg-{n}", uuid, 253, n, table=(), status=()) for n, uuid in enumerate(uuids)}


@settings(deadline=None)
@given(broken_texts(FILES))
def test_whatever_a_text_says_it_is_refused_or_shown_and_taken_down(text: str) -> None:
    faults: list[str] = []
    try:
        group = decode_group(text, TARGETS, faults).group
    except DamagedMetadata:
        with pytest.raises(DamagedMetadata):
            decode_group(text, TARGETS)
        return
    found = (*faults, *(f"{subject}: {rule}" for subject, rule in broken_rules(group)))
    validate(group, TARGETS)
    if not found:
        assert decode_group(text, TARGETS).group == group
    live = live_devices(group)
    view = SystemView((GroupView(group, {}, faults=found),), ((group.name, group.id),))
    for kind, columns, segments in (
        ("lvs", ("lv_all",), False),
        ("lvs", ("seg_all", "lv_name"), True),
        ("vgs", ("vg_all",), False),
        ("pvs", ("pv_all", "vg_free"), False),
        ("pvs", ("pvseg_all", "seg_all", "lv_name"), True),
    ):
        request = ReportRequest(kind, columns=columns, all=True, segments=segments)
        assert prepare(request, TARGETS).text(view, live)
    for kind in ("lv", "vg", "pv"):
        display(DisplayRequest(kind, style="long", maps=True, all=True, verbose=1), view, live, TARGETS, None)
    change = Change(group, group, deactivate=live_volumes(group.id, live), takedown=True)
    assert len(plan_change(change, live, TARGETS).steps) == len(live)


@settings(deadline=None)
@given(broken_texts(DISKS))
def test_both_readers_find_the_same_faults(text: str) -> None:
    """The fast one, where it takes the text at all."""

    def outcome(read) -> object:
        faults: list[str] = []
        try:
            decoded = read(text, TARGETS, faults)
        except DamagedMetadata as error:
            return error.message
        return decoded and (decoded, faults)

    quick = outcome(decode_canonical)
    assert quick is None or quick == outcome(decode_any)


def volume(name: str, field: str, value: str) -> str:
    """The text of an origin with a snapshot, with a field of one volume changed."""
    at = SNAPSHOT.index(f"\t\t{name} {{")
    return SNAPSHOT[:at] + re.sub(rf"\b{field} = [^\n]*", f"{field} = {value}", SNAPSHOT[at:], count=1)


def test_a_volume_that_cannot_be_read_is_left_out_and_what_refers_to_it_is_unknown():
    """Plugins never see a reference that leads nowhere."""
    text = volume("snap", "extent_count", "-1")
    faults: list[str] = []
    group = decode_group(text, TARGETS, faults).group
    whole = decode_group(SNAPSHOT, TARGETS).group
    assert set(group.lv_by_name) == set(whole.lv_by_name) - {"snap"}
    (book,) = (lv for lv in group.lvs if lv.name.startswith("snapshot"))
    assert isinstance(book.segments[0].body, UnknownBody)
    assert any("snap, segment1: extent_count = -1 is not valid" in fault for fault in faults)
    assert any("refers to 'snap' but does not describe it" in fault for fault in faults)
    with pytest.raises(DamagedMetadata):
        decode_group(text, TARGETS)
