"""Tables: what is refused, what is printed, what waits and what is live."""

from __future__ import annotations

import pytest

from tests.support.dm_conformance.rig import MIB, Rig, line, refused, words, zeros
from vmgr.core.errors import NotFound
from vmgr.core.table import KernelLine
from vmgr.dm import abi, wire
from vmgr.dm.wire import Request


class TableConformance:
    """Tables: what is refused, what is printed, what waits and what is live."""

    # -- tables --------------------------------------------------------------------------------------

    def test_a_loaded_table_waits(self, rig: Rig) -> None:
        rig.dm.create("a", "UUID-a")
        rig.dm.load("a", zeros())
        device = rig.dm.info(name="a", table=True)
        assert device is not None
        assert (device.has_live, device.has_inactive, device.table) == (False, True, ())
        assert rig.dm.table("a", inactive=True) == tuple(zeros())
        assert rig.dm.table("a") == ()

    def test_a_resume_makes_it_live(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        device = rig.dm.resume("a")
        assert (device.name, device.has_live, device.has_inactive, device.suspended) == ("a", True, False, False)
        assert rig.dm.table("a") == tuple(zeros())
        assert rig.dm.table("a", inactive=True) == ()

    def test_a_second_load_replaces_the_waiting_table(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.load("a", [line(0, 8, "error")])
        assert rig.dm.table("a", inactive=True) == (line(0, 8, "error"),)

    def test_clear_drops_the_waiting_table_only(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.dm.load("a", [line(0, 8, "error")])
        rig.dm.clear("a")
        device = rig.dm.info(name="a", table=True)
        assert device is not None
        assert (device.has_live, device.has_inactive) == (True, False)
        assert device.table == tuple(zeros())

    def test_clear_without_a_waiting_table_does_nothing(self, rig: Rig) -> None:
        before = rig.dm.create("a")
        rig.dm.clear("a")
        assert rig.dm.info(name="a") == before

    def test_a_table_may_have_many_lines(self, rig: Rig) -> None:
        """More than fit into the first buffer, both ways."""
        disk = rig.disk(8)
        lines = [line(8 * i, 8, "linear", f"{words(disk)} {8 * (i ^ 1)}") for i in range(1000)]
        rig.dm.create("a")
        rig.dm.load("a", lines)
        assert rig.dm.table("a", inactive=True) == tuple(lines)
        rig.dm.resume("a")
        assert rig.dm.table("a") == tuple(lines)
        assert rig.dm.deps("a") == (disk,)

    @pytest.mark.parametrize(
        "lines",
        [
            pytest.param([], id="no lines"),
            pytest.param([line(0, 0, "zero")], id="no length"),
            pytest.param([line(8, 8, "zero")], id="a gap at the start"),
            pytest.param([line(0, 8, "zero"), line(16, 8, "zero")], id="a gap"),
            pytest.param([line(0, 8, "zero"), line(4, 8, "zero")], id="an overlap"),
            pytest.param([line(0, 8, "no-such-target")], id="an unknown target"),
            pytest.param([line(0, 8, "linear", "")], id="no parameters"),
            pytest.param([line(0, 8, "linear", "7:0 0 surplus")], id="a surplus parameter"),
            pytest.param([line(0, 8, "linear", "7:0 x")], id="no number"),
            pytest.param([line(0, 8, "striped", "0 8")], id="no stripes"),
            pytest.param([line(0, 8, "striped", "2 8 7:0 0")], id="a stripe is missing"),
        ],
    )
    def test_a_bad_table_is_refused_and_changes_nothing(self, rig: Rig, lines: list[KernelLine]) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        before = rig.dm.info(name="a")
        assert refused(lambda: rig.dm.load("a", lines)) == "EINVAL"
        assert rig.dm.info(name="a") == before
        assert rig.dm.table("a", inactive=True) == tuple(zeros())

    def test_a_table_may_not_refer_to_what_is_not_there(self, rig: Rig) -> None:
        rig.dm.create("a")
        with pytest.raises(NotFound):
            rig.dm.load("a", [line(0, 8, "linear", f"{rig.kernel.block_major()}:999 0")])
        assert refused(lambda: rig.dm.load("a", [line(0, 8, "linear", "4000:1 0")])) == "ENXIO"

    def test_a_table_may_not_refer_to_a_device_that_never_had_one(self, rig: Rig) -> None:
        fresh = rig.dm.create("fresh")
        rig.dm.create("a")
        lines = [line(0, 8, "linear", f"{words(fresh)} 0")]
        assert refused(lambda: rig.dm.load("a", lines)) == "ENXIO"
        rig.dm.load("fresh", zeros())
        rig.dm.load("a", lines)

    def test_a_device_may_not_be_loaded_onto_itself(self, rig: Rig) -> None:
        made = rig.dm.create("a")
        lines = [line(0, 8, "linear", f"{words(made)} 0")]
        assert refused(lambda: rig.dm.load("a", lines)) == "ENXIO"
        rig.dm.load("a", zeros())
        before = rig.dm.resume("a")
        assert refused(lambda: rig.dm.load("a", lines)) in ("ELOOP", "EINVAL")
        assert rig.dm.info(name="a") == before
        rig.dm.remove("a")

    def test_the_first_table_must_fit_its_disks(self, rig: Rig) -> None:
        disk = rig.disk(1)
        rig.dm.create("a")
        rig.dm.create("b")
        assert refused(lambda: rig.dm.load("a", [line(0, MIB, "linear", f"{words(disk)} 1")])) == "EINVAL"
        assert refused(lambda: rig.dm.load("b", [line(0, 8, "linear", f"{words(disk)} {MIB}")])) == "EINVAL"

    def test_a_later_table_that_does_not_fit_fails_when_it_is_resumed(self, rig: Rig) -> None:
        """And then the kernel leaves the device suspended on its old table; the client lets it go on."""
        disk = rig.disk(1)
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.dm.load("a", [line(0, MIB, "linear", f"{words(disk)} 1")])
        assert refused(lambda: rig.kernel.call(Request(abi.DEV_SUSPEND, "a"))) == "EINVAL"
        device = rig.dm.info(name="a", table=True)
        assert device is not None
        assert (device.suspended, device.has_live, device.has_inactive) == (True, True, False)
        assert device.table == tuple(zeros())
        rig.dm.resume("a")
        rig.dm.load("a", [line(0, MIB, "linear", f"{words(disk)} 1")])
        assert refused(lambda: rig.dm.resume("a")) == "EINVAL"
        device = rig.dm.info(name="a")
        assert device is not None
        assert not device.suspended

    def test_a_failed_resume_of_what_the_caller_suspended_leaves_it_suspended(self, rig: Rig) -> None:
        disk = rig.disk(1)
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.dm.load("a", [line(0, MIB, "linear", f"{words(disk)} 1")])
        rig.dm.suspend("a")
        assert refused(lambda: rig.dm.resume("a")) == "EINVAL"
        device = rig.dm.info(name="a")
        assert device is not None
        assert device.suspended
        assert not rig.dm.resume("a").suspended
        assert rig.dm.table("a") == tuple(zeros())

    def test_linear_and_striped_print_numbers(self, rig: Rig) -> None:
        one, two = rig.disk(4), rig.disk(4)
        rig.dm.create("a")
        lines = [
            line(0, MIB, "linear", f"{words(one)}   16 "),
            line(MIB, MIB, "striped", f"2 128 {words(one)} 4096 {words(two)} 0"),
        ]
        rig.dm.load("a", lines)
        rig.dm.resume("a")
        assert [printed.params for printed in rig.dm.table("a")] == [
            f"{words(one)} 16",
            f"2 128 {words(one)} 4096 {words(two)} 0",
        ]
        linear, striped = rig.dm.status("a")
        assert linear.params == ""
        assert striped.params == f"2 {words(one)} {words(two)} 1 AA"

    def test_a_striped_line_must_divide_evenly(self, rig: Rig) -> None:
        one, two = rig.disk(1), rig.disk(1)
        rig.dm.create("a")
        stripes = f"2 128 {words(one)} 0 {words(two)} 0"
        assert refused(lambda: rig.dm.load("a", [line(0, 255, "striped", stripes)])) == "EINVAL"
        assert refused(lambda: rig.dm.load("a", [line(0, 128, "striped", stripes)])) == "EINVAL"
        rig.dm.load("a", [line(0, 256, "striped", stripes)])

    def test_a_target_s_name_has_at_most_15_bytes(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", [line(0, 8, "error")])
        with pytest.raises(Exception, match="longer than 15 bytes"):
            rig.dm.load("a", [line(0, 8, "x" * 16)])

    def test_status_of_the_waiting_table_can_be_asked_for(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        reply = rig.kernel.call(Request(abi.TABLE_STATUS, "a", flags=abi.QUERY_INACTIVE_TABLE))
        assert wire.unpack_status(reply.data, reply.target_count) == tuple(zeros())
        assert reply.target_count == 1
        assert rig.kernel.call(Request(abi.TABLE_STATUS, "a")).target_count == 0

    # -- read-only -----------------------------------------------------------------------------------

    def test_a_read_only_table_makes_the_device_read_only_when_live(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros(), read_only=True)
        before = rig.dm.info(name="a")
        assert before is not None
        assert not before.read_only
        assert rig.kernel.call(Request(abi.DEV_STATUS, "a", flags=abi.QUERY_INACTIVE_TABLE)).flags & abi.READONLY
        assert rig.dm.resume("a").read_only
        rig.dm.load("a", zeros())
        assert not rig.dm.resume("a").read_only

    # -- snapshots -------------------------------------------------------------------------------------

    def test_a_snapshot_s_four_devices(self, rig: Rig) -> None:
        disk, store = rig.disk(4), rig.disk(2)
        dm = rig.dm
        for name, lines in (
            ("real", [line(0, 4 * MIB, "linear", f"{words(disk)} 0")]),
            ("cow", [line(0, 2 * MIB, "linear", f"{words(store)} 0")]),
        ):
            dm.create(name)
            dm.load(name, lines)
            dm.resume(name)
        real, cow = dm.info(name="real"), dm.info(name="cow")
        assert real is not None
        assert cow is not None
        dm.create("origin")
        dm.load("origin", [line(0, 4 * MIB, "snapshot-origin", words(real))])
        dm.create("snap")
        dm.load("snap", [line(0, 4 * MIB, "snapshot", f"{words(real)} {words(cow)} P 8")])
        dm.resume("origin")
        dm.resume("snap")
        assert dm.table("origin") == (line(0, 4 * MIB, "snapshot-origin", words(real)),)
        assert dm.table("snap") == (line(0, 4 * MIB, "snapshot", f"{words(real)} {words(cow)} P 8"),)
        assert [printed.params for printed in dm.status("snap")] == ["16/4096 16"]
        assert [printed.params for printed in dm.status("origin")] == [""]
        assert set(dm.deps("snap")) == {(real.major, real.minor), (cow.major, cow.minor)}
        assert dm.deps("origin") == ((real.major, real.minor),)
        held = dm.info(name="real")
        assert held is not None
        assert held.open_count == 2
        for name in ("snap", "origin", "real", "cow"):
            dm.remove(name)

    def test_a_table_is_dropped_that_does_not_fit_the_blocks_below(self, rig: Rig) -> None:
        """Another resume succeeds, with the old table: who counts on the new one must not repeat it."""
        disk = rig.disk(1, block=4096)
        old = (line(0, 16, "linear", f"{words(disk)} 0"),)
        for new in (line(0, 18, "linear", f"{words(disk)} 0"), line(0, 16, "linear", f"{words(disk)} 4")):
            rig.dm.create("a")
            rig.dm.load("a", old)
            rig.dm.resume("a")
            rig.dm.load("a", [new])
            rig.dm.suspend("a")
            assert refused(lambda: rig.dm.resume("a")) == "EINVAL"
            device = rig.dm.device("a")
            assert (device.suspended, device.has_inactive, device.table) == (True, False, old)
            assert not rig.dm.resume("a").suspended
            assert rig.dm.table("a") == old
            rig.dm.remove("a")
            rig.dm.create("a")
            assert refused(lambda new=new: rig.dm.load("a", [new])) == "EINVAL", "the first one at once"
            rig.dm.remove("a")

    def snapshot(self, rig: Rig, name: str = "snap") -> list[KernelLine]:
        """A live snapshot, and its table."""
        disk, store = rig.disk(4), rig.disk(2)
        table = [line(0, 4 * MIB, "snapshot", f"{words(disk)} {words(store)} P 8")]
        rig.dm.create(name)
        rig.dm.load(name, table)
        rig.dm.resume(name)
        return table

    def test_one_table_waits_for_the_exceptions_of_a_snapshot(self, rig: Rig) -> None:
        """And none can be put in its place before it is dropped."""
        table = self.snapshot(rig)
        rig.dm.load("snap", table)
        assert refused(lambda: rig.dm.load("snap", table)) == "EINVAL"
        rig.dm.create("other")
        assert refused(lambda: rig.dm.load("other", table)) == "EINVAL"
        rig.dm.resume("snap")
        rig.dm.load("snap", table)
        rig.dm.clear("snap")
        rig.dm.load("other", table)
        for name in ("other", "snap"):
            rig.dm.remove(name)

    def test_exceptions_are_handed_over_while_their_snapshot_is_suspended(self, rig: Rig) -> None:
        """The one that takes them over cannot run before, nor the one that has them until it has."""
        table = self.snapshot(rig)
        rig.dm.create("other")
        rig.dm.load("other", table)
        assert refused(lambda: rig.dm.resume("other")) == "EINVAL"
        other = rig.dm.device("other")
        assert (other.suspended, other.has_live, other.has_inactive) == (True, True, False), "its table stays"
        rig.dm.suspend("snap")
        assert refused(lambda: rig.dm.resume("snap")) == "EINVAL"
        assert not rig.dm.resume("other").suspended
        assert not rig.dm.resume("snap").suspended
        for name in ("snap", "other"):
            rig.dm.remove(name)

    def test_a_merge_that_goes_on_takes_no_second_table(self, rig: Rig) -> None:
        (snap,) = self.snapshot(rig)
        merge = line(0, 4 * MIB, "snapshot-merge", snap.params)
        rig.dm.create("base")
        rig.dm.load("base", [merge])
        assert refused(lambda: rig.dm.resume("base")) == "EINVAL", "the snapshot still runs"
        rig.dm.suspend("snap")
        rig.dm.resume("base")
        assert refused(lambda: rig.dm.load("base", [merge])) == "EINVAL"
        rig.dm.load("snap", [line(0, 4 * MIB, "error")])
        rig.dm.resume("snap")
        assert refused(lambda: rig.dm.load("base", [merge])) == "EINVAL"
        rig.dm.suspend("base")
        rig.dm.resume("base")
        for name in ("snap", "base"):
            rig.dm.remove(name)

    def test_a_snapshot_is_not_longer_than_its_origin(self, rig: Rig) -> None:
        disk, store = rig.disk(4), rig.disk(2)
        rig.dm.create("a")
        table = [line(0, 5 * MIB, "snapshot", f"{words(disk)} {words(store)} P 8")]
        assert refused(lambda: rig.dm.load("a", table)) == "EINVAL"

    def test_a_reply_holds_nothing_of_an_older_one(self, rig: Rig) -> None:
        """The kernel leaves bytes unwritten, the last of a target's name of 15 among them."""
        disk = rig.disk(4)
        rig.dm.create("long")
        rig.dm.load("long", [line(8 * i, 8, "linear", f"{words(disk)} {8 * i}") for i in range(100)])
        rig.dm.create("a")
        rig.dm.load("a", [line(0, MIB, "snapshot-origin", words(disk))])
        rig.dm.resume("a")
        rig.dm.create("\xff" * 60, "\xff" * 60)
        for _ in range(3):
            assert len(rig.dm.table("long", inactive=True)) == 100
            assert rig.dm.names()
            assert rig.dm.table("a") == (line(0, MIB, "snapshot-origin", words(disk)),)
            assert rig.dm.status("a") == (line(0, MIB, "snapshot-origin"),)

    @pytest.mark.parametrize("params", ["{one} {two} P", "{one} {two} X 8", "{one} {two} P 7", "{one} {one} P 8"])
    def test_a_bad_snapshot_line_is_refused(self, rig: Rig, params: str) -> None:
        text = params.format(one=words(rig.disk(1)), two=words(rig.disk(1)))
        rig.dm.create("a")
        assert refused(lambda: rig.dm.load("a", [line(0, MIB, "snapshot", text)])) == "EINVAL"
