"""What the device mapper does, as one suite: it runs on the fake and, in the lab, on the real kernel.

Each test states a fact of the kernel's. Where the two differ, the fake is wrong. A subclass gives
the fixture ``rig``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Protocol

import pytest

from vmgr.core.errors import AlreadyExists, AmbiguousName, InUse, InvalidName, NotFound
from vmgr.core.table import KernelLine, LiveDevice
from vmgr.core.units import Sectors
from vmgr.dm import abi, wire
from vmgr.dm.client import DmClient, by_name, by_number, by_uuid
from vmgr.dm.failure import DmError, DmExists, DmInUse, DmNotFound
from vmgr.dm.kernel import Kernel
from vmgr.dm.wire import Request

MIB = 2048
"""Sectors in a mebibyte."""


class Rig(Protocol):
    """What the suite needs of a machine."""

    dm: DmClient
    kernel: Kernel

    def disk(self, mib: int) -> tuple[int, int]:
        """A block device that is not a device-mapper one, as (major, minor)."""

    def claim(self, numbers: tuple[int, int]) -> None:
        """Hold a block device for oneself, as a mount does."""

    def unclaim(self, numbers: tuple[int, int]) -> None:
        """Let go of it."""

    def hold(self, name: str) -> None:
        """Open a device."""

    def release(self, name: str) -> None:
        """Close it again."""


def line(start: int, length: int, target: str, params: str = "") -> KernelLine:
    return KernelLine(Sectors(start), Sectors(length), target, params)


def zeros(length: int = MIB) -> list[KernelLine]:
    return [line(0, length, "zero")]


def words(numbers: tuple[int, int] | LiveDevice) -> str:
    if isinstance(numbers, LiveDevice):
        numbers = numbers.major, numbers.minor
    return f"{numbers[0]}:{numbers[1]}"


def refused(call: Callable[[], object]) -> str:
    """The errno's name with which the kernel refuses ``call``."""
    with pytest.raises(DmError) as caught:
        call()
    return caught.value.errno_name


class DmConformance:
    """The suite."""

    # -- the interface -------------------------------------------------------------------------------

    def test_the_interface_is_version_4(self, rig: Rig) -> None:
        assert rig.dm.version()[0] == 4
        assert rig.dm.version() >= (4, 45, 0)

    def test_targets_have_versions(self, rig: Rig) -> None:
        targets = rig.dm.targets()
        for name in ("linear", "striped", "error"):
            assert targets[name] >= (1, 0, 0)

    def test_a_target_s_version_loads_its_module(self, rig: Rig) -> None:
        assert rig.dm.target_version("snapshot") == rig.dm.targets()["snapshot"]
        assert rig.dm.target_version("snapshot-merge") is not None

    def test_an_unknown_target_has_no_version(self, rig: Rig) -> None:
        assert rig.dm.target_version("no-such-target") is None

    def test_every_reply_tells_the_interface_s_version(self, rig: Rig) -> None:
        rig.dm.create("a")
        assert rig.kernel.call(Request(abi.DEV_STATUS, "a")).version == rig.kernel.version
        assert rig.kernel.call(Request(abi.LIST_DEVICES)).version == rig.kernel.version

    # -- create --------------------------------------------------------------------------------------

    def test_a_new_device_has_no_table_and_is_not_suspended(self, rig: Rig) -> None:
        made = rig.dm.create("a", "UUID-a")
        assert made == rig.dm.info(name="a") == rig.dm.info(uuid="UUID-a")
        assert (made.name, made.uuid) == ("a", "UUID-a")
        assert not made.suspended
        assert not made.has_live
        assert not made.has_inactive
        assert not made.read_only
        assert (made.open_count, made.event_nr) == (0, 0)
        assert made.major == rig.kernel.block_major()

    def test_a_device_needs_no_uuid(self, rig: Rig) -> None:
        assert rig.dm.create("a").uuid == ""
        assert rig.dm.create("b").uuid == ""

    def test_the_lowest_free_minor_is_taken(self, rig: Rig) -> None:
        assert [rig.dm.create(name).minor for name in "abc"] == [0, 1, 2]
        rig.dm.remove(by_name("b"))
        assert rig.dm.create("d").minor == 1

    def test_a_minor_can_be_asked_for(self, rig: Rig) -> None:
        made = rig.dm.create("a", numbers=(rig.kernel.block_major(), 300))
        assert made.minor == 300
        assert rig.dm.info(major_minor=(made.major, 300)) == made

    def test_the_major_asked_for_does_not_count(self, rig: Rig) -> None:
        made = rig.dm.create("a", numbers=(7, 12))
        assert (made.major, made.minor) == (rig.kernel.block_major(), 12)

    def test_a_taken_minor_is_refused(self, rig: Rig) -> None:
        rig.dm.create("a", numbers=(0, 5))
        with pytest.raises(AlreadyExists, match="minor number is taken"):
            rig.dm.create("b", numbers=(0, 5))
        assert rig.dm.info(name="b") is None

    def test_a_taken_name_is_refused(self, rig: Rig) -> None:
        before = rig.dm.create("a", "UUID-a")
        with pytest.raises(AlreadyExists):
            rig.dm.create("a", "UUID-b")
        assert rig.dm.info(uuid="UUID-b") is None
        assert rig.dm.info(name="a") == before

    def test_a_taken_uuid_is_refused(self, rig: Rig) -> None:
        rig.dm.create("a", "UUID-a")
        with pytest.raises(DmExists):
            rig.dm.create("b", "UUID-a")
        assert rig.dm.info(name="b") is None

    def test_a_name_with_a_slash_is_refused(self, rig: Rig) -> None:
        with pytest.raises(InvalidName):
            rig.dm.create("a/b")
        assert refused(lambda: rig.kernel.call(Request(abi.DEV_CREATE, name="a/b"))) == "EINVAL"

    def test_an_empty_name_is_refused(self, rig: Rig) -> None:
        with pytest.raises(InvalidName):
            rig.dm.create("")
        assert refused(lambda: rig.kernel.call(Request(abi.DEV_CREATE, uuid="UUID-a"))) == "EINVAL"

    def test_the_longest_name_and_uuid_fit(self, rig: Rig) -> None:
        made = rig.dm.create("n" * 127, "u" * 128)
        assert (made.name, made.uuid) == ("n" * 127, "u" * 128)
        assert rig.dm.info(name="n" * 127) == made
        assert [entry.uuid for entry in rig.dm.names()] == ["u" * 128]

    def test_a_longer_name_or_uuid_is_refused(self, rig: Rig) -> None:
        for name, uuid in (("n" * 128, ""), ("a", "u" * 129), ("é" * 64, "")):
            with pytest.raises(InvalidName):
                rig.dm.create(name, uuid)
        assert rig.dm.names() == ()

    def test_names_are_bytes(self, rig: Rig) -> None:
        """A name may hold blanks, and bytes that are no UTF-8."""
        for name in ("with blank", "ümlaut", b"\xff\xfe".decode("utf-8", "surrogateescape")):
            rig.dm.create(name)
            found = rig.dm.info(name=name)
            assert found is not None
            assert found.name == name
            rig.dm.remove(by_name(name))

    # -- finding -------------------------------------------------------------------------------------

    def test_there_is_no_such_device(self, rig: Rig) -> None:
        assert rig.dm.info(name="a") is None
        assert rig.dm.info(uuid="UUID-a") is None
        assert rig.dm.info(major_minor=(rig.kernel.block_major(), 77)) is None
        assert rig.dm.info(major_minor=rig.disk(1)) is None

    def test_commands_to_a_missing_device_are_refused(self, rig: Rig) -> None:
        dm, absent = rig.dm, by_name("absent")
        commands: list[Callable[[], object]] = [
            lambda: dm.load(absent, zeros()),
            lambda: dm.clear(absent),
            lambda: dm.suspend(absent),
            lambda: dm.resume(absent),
            lambda: dm.rename(absent, "b"),
            lambda: dm.remove(absent),
            lambda: dm.remove(absent, deferred=True),
            lambda: dm.table(absent),
            lambda: dm.status(absent),
            lambda: dm.deps(absent),
            lambda: dm.message(absent, 0, "hello"),
            lambda: dm.set_uuid(absent, "UUID"),
            lambda: dm.wait(absent, 0),
        ]
        for command in commands:
            with pytest.raises(NotFound) as caught:
                command()
            assert isinstance(caught.value, DmNotFound)
            assert caught.value.errno == errno.ENXIO

    def test_a_name_and_a_uuid_together_are_refused(self, rig: Rig) -> None:
        rig.dm.create("a", "UUID-a")
        assert refused(lambda: rig.kernel.call(Request(abi.DEV_STATUS, "a", "UUID-a"))) == "EINVAL"

    def test_a_name_and_a_number_together_find_nothing(self, rig: Rig) -> None:
        made = rig.dm.create("a", "UUID-a")
        number = abi.dev_number(made.major, made.minor)
        assert refused(lambda: rig.kernel.call(Request(abi.DEV_STATUS, name="a", dev=number))) == "ENXIO"
        assert refused(lambda: rig.kernel.call(Request(abi.DEV_STATUS, uuid="UUID-a", dev=number))) == "ENXIO"

    def test_no_name_at_all_finds_nothing(self, rig: Rig) -> None:
        assert refused(lambda: rig.kernel.call(Request(abi.DEV_STATUS))) == "ENXIO"
        with pytest.raises(InvalidName):
            rig.dm.clear(by_name(""))

    def test_every_command_takes_name_uuid_and_number(self, rig: Rig) -> None:
        made = rig.dm.create("a", "UUID-a")
        for way in (by_name("a"), by_uuid("UUID-a"), by_number(made.major, made.minor), made, "a", "UUID-a"):
            rig.dm.load(way, zeros())
            rig.dm.clear(way)
            rig.dm.load(way, zeros())
            rig.dm.suspend(way)
            rig.dm.resume(way)
            assert rig.dm.table(way) == tuple(zeros())
            assert rig.dm.deps(way) == ()
            rig.dm.rename(way, "b")
            rig.dm.rename(by_name("b"), "a")

    def test_a_string_that_means_two_devices_is_refused(self, rig: Rig) -> None:
        """Name is not identity: one device's name may be another's UUID."""
        rig.dm.create("same", "UUID-a")
        rig.dm.create("b", "same")
        with pytest.raises(AmbiguousName):
            rig.dm.remove("same")
        assert len(rig.dm.names()) == 2
        rig.dm.remove(by_name("same"))
        rig.dm.remove("same")
        assert rig.dm.names() == ()

    # -- listing -------------------------------------------------------------------------------------

    def test_no_device_makes_an_empty_list(self, rig: Rig) -> None:
        assert rig.dm.names() == ()
        assert rig.dm.devices() == ()

    def test_the_list_has_name_number_uuid_and_event(self, rig: Rig) -> None:
        made = [rig.dm.create(name, uuid) for name, uuid in (("b", "UUID-b"), ("a", ""), ("c", "LVM-c"))]
        found = {entry.name: entry for entry in rig.dm.names()}
        assert set(found) == {"a", "b", "c"}
        for device in made:
            entry = found[device.name]
            assert entry == (abi.dev_number(device.major, device.minor), device.name, 0, device.uuid)

    def test_the_list_has_no_uuids_unless_asked_for(self, rig: Rig) -> None:
        rig.dm.create("a", "UUID-a")
        (entry,) = wire.unpack_names(rig.kernel.call(Request(abi.LIST_DEVICES)).data, rig.kernel.version)
        assert entry.uuid is None

    def test_the_list_is_sorted_by_name(self, rig: Rig) -> None:
        for name in ("m", "Z", "a", "a-b", "a+b", "ü"):
            rig.dm.create(name)
        names = [entry.name for entry in rig.dm.names()]
        assert names == sorted(names, key=lambda name: name.encode())

    def test_a_prefix_selects_by_uuid(self, rig: Rig) -> None:
        rig.dm.create("LVM-not", "OTHER-1")
        rig.dm.create("b", "LVM-1")
        rig.dm.create("c")
        assert [device.name for device in rig.dm.devices(prefix="LVM-")] == ["b"]
        assert len(rig.dm.devices()) == 3

    def test_devices_come_with_tables_and_status_when_asked(self, rig: Rig) -> None:
        rig.dm.create("a", "UUID-a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.dm.create("b", "UUID-b")
        a, b = rig.dm.devices(tables=True, status=True)
        assert a.table == a.status == (line(0, MIB, "zero"),)
        assert b.table == b.status == ()
        a, b = rig.dm.devices()
        assert a.table is None
        assert a.status is None

    def test_a_list_longer_than_the_buffer_comes_whole(self, rig: Rig) -> None:
        names = [f"{i:03}" + "n" * 120 for i in range(120)]
        with rig.dm.transaction():
            for name in names:
                rig.dm.create(name, name)
        assert [entry.name for entry in rig.dm.names()] == names
        assert [device.uuid for device in rig.dm.devices()] == names

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

    # -- suspend and resume ----------------------------------------------------------------------------

    def test_suspend_and_resume(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        assert rig.dm.suspend("a").suspended
        device = rig.dm.info(name="a")
        assert device is not None
        assert (device.suspended, device.has_live) == (True, True)
        assert not rig.dm.resume("a").suspended

    @pytest.mark.parametrize("flush", [True, False])
    @pytest.mark.parametrize("freeze", [True, False])
    def test_suspend_without_flush_or_freeze(self, rig: Rig, flush: bool, freeze: bool) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        assert rig.dm.suspend("a", flush=flush, freeze=freeze).suspended
        rig.dm.resume("a")

    def test_a_second_suspend_or_resume_does_nothing(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        assert rig.dm.resume("a") == rig.dm.info(name="a")
        rig.dm.suspend("a")
        assert rig.dm.suspend("a").suspended
        rig.dm.resume("a")

    def test_a_device_without_a_table_can_be_suspended_and_not_resumed(self, rig: Rig) -> None:
        rig.dm.create("a")
        assert not rig.dm.resume("a").suspended
        assert rig.dm.suspend("a").suspended
        assert refused(lambda: rig.dm.resume("a")) == "EINVAL"
        rig.dm.remove("a")

    def test_a_table_may_be_loaded_while_suspended(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.dm.suspend("a")
        rig.dm.load("a", [line(0, 8, "error")])
        device = rig.dm.resume("a")
        assert not device.suspended
        assert rig.dm.table("a") == (line(0, 8, "error"),)

    def test_a_uevent_tells_of_resume_rename_and_remove(self, rig: Rig) -> None:
        """And of no resume that changes nothing: nobody would complete its cookie."""
        call = rig.kernel.call
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        assert call(Request(abi.DEV_SUSPEND, "a")).flags & abi.UEVENT_GENERATED
        assert not call(Request(abi.DEV_SUSPEND, "a")).flags & abi.UEVENT_GENERATED
        assert not call(Request(abi.DEV_SUSPEND, "a", flags=abi.SUSPEND)).flags & abi.UEVENT_GENERATED
        assert call(Request(abi.DEV_SUSPEND, "a")).flags & abi.UEVENT_GENERATED
        assert call(Request(abi.DEV_RENAME, "a", data=b"b\0")).flags & abi.UEVENT_GENERATED
        assert call(Request(abi.DEV_REMOVE, "b")).flags & abi.UEVENT_GENERATED

    def test_suspended_devices_can_be_removed(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.dm.suspend("a")
        assert rig.dm.remove("a")
        assert rig.dm.names() == ()
        assert not rig.dm.suspended()

    # -- dependencies and holders ----------------------------------------------------------------------

    def _stack(self, rig: Rig) -> tuple[LiveDevice, LiveDevice]:
        """Device ``upper`` on device ``lower``."""
        rig.dm.create("lower")
        rig.dm.load("lower", zeros())
        lower = rig.dm.resume("lower")
        rig.dm.create("upper")
        rig.dm.load("upper", [line(0, MIB, "linear", f"{words(lower)} 0")])
        return lower, rig.dm.resume("upper")

    def test_dependencies(self, rig: Rig) -> None:
        one, two = rig.disk(1), rig.disk(1)
        rig.dm.create("a")
        rig.dm.load("a", [line(0, 8, "linear", f"{words(one)} 0"), line(8, 8, "linear", f"{words(two)} 0")])
        assert rig.dm.deps("a") == ()
        assert set(rig.dm.deps("a", inactive=True)) == {one, two}
        rig.dm.resume("a")
        assert rig.dm.deps("a") == (two, one)
        assert rig.dm.deps("a", inactive=True) == ()

    def test_a_device_named_twice_is_one_dependency(self, rig: Rig) -> None:
        disk = rig.disk(1)
        rig.dm.create("a")
        rig.dm.load("a", [line(0, 8, "linear", f"{words(disk)} 8"), line(8, 8, "linear", f"{words(disk)} 0")])
        rig.dm.resume("a")
        assert rig.dm.deps("a") == (disk,)

    def test_a_device_below_another_is_open_and_cannot_be_removed(self, rig: Rig) -> None:
        self._stack(rig)
        lower = rig.dm.info(name="lower")
        assert lower is not None
        assert lower.open_count == 1
        with pytest.raises(InUse) as caught:
            rig.dm.remove("lower")
        assert isinstance(caught.value, DmInUse)
        assert caught.value.command == "remove"
        assert caught.value.device == "lower"
        assert caught.value.errno == errno.EBUSY
        assert rig.dm.info(name="lower") == lower
        rig.dm.remove("upper")
        rig.dm.remove("lower")

    def test_a_waiting_table_holds_what_it_refers_to(self, rig: Rig) -> None:
        lower, _ = self._stack(rig)
        rig.dm.load("upper", [line(0, 8, "linear", f"{words(lower)} 8")])
        held = rig.dm.info(name="lower")
        assert held is not None
        assert held.open_count == 1, "one device above opens it once, however many tables it has"
        rig.dm.create("other")
        rig.dm.load("other", [line(0, 8, "linear", f"{words(lower)} 8")])
        held = rig.dm.info(name="lower")
        assert held is not None
        assert held.open_count == 2
        rig.dm.remove("upper")
        rig.dm.clear("other")
        rig.dm.remove("lower")

    def test_read_only_and_writable_tables_open_separately(self, rig: Rig) -> None:
        lower, _ = self._stack(rig)
        rig.dm.load("upper", [line(0, 8, "linear", f"{words(lower)} 8")], read_only=True)
        held = rig.dm.info(name="lower")
        assert held is not None
        assert held.open_count == 2

    def test_a_new_table_lets_go_of_what_the_old_one_used(self, rig: Rig) -> None:
        self._stack(rig)
        rig.dm.load("upper", zeros())
        assert refused(lambda: rig.dm.remove("lower")) == "EBUSY"
        rig.dm.resume("upper")
        rig.dm.remove("lower")

    def test_an_open_device_cannot_be_removed(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.hold("a")
        try:
            device = rig.dm.info(name="a")
            assert device is not None
            assert device.open_count == 1
            with pytest.raises(InUse):
                rig.dm.remove("a")
        finally:
            rig.release("a")
        rig.dm.remove("a")

    def test_a_table_may_not_refer_to_what_others_hold_for_themselves(self, rig: Rig) -> None:
        """A mounted disk, say."""
        disk = rig.disk(1)
        rig.dm.create("a")
        rig.claim(disk)
        try:
            with pytest.raises(InUse):
                rig.dm.load("a", [line(0, 8, "linear", f"{words(disk)} 0")])
        finally:
            rig.unclaim(disk)
        rig.dm.load("a", [line(0, 8, "linear", f"{words(disk)} 0")])

    # -- deferred removal ------------------------------------------------------------------------------

    def test_a_deferred_removal_of_a_free_device_happens_now(self, rig: Rig) -> None:
        rig.dm.create("a")
        assert rig.dm.remove("a", deferred=True)
        assert rig.dm.names() == ()

    def test_a_deferred_removal_of_an_open_device_happens_when_it_is_closed(self, rig: Rig) -> None:
        self._stack(rig)
        assert not rig.dm.remove("lower", deferred=True)
        assert rig.dm.info(name="lower") is not None
        assert rig.kernel.call(Request(abi.DEV_STATUS, "lower")).flags & abi.DEFERRED_REMOVE
        rig.dm.remove("upper")
        assert rig.dm.info(name="lower") is None

    def test_a_deferred_removal_can_be_called_off(self, rig: Rig) -> None:
        self._stack(rig)
        rig.dm.remove("lower", deferred=True)
        rig.dm.message("lower", 0, "@cancel_deferred_remove")
        assert not rig.kernel.call(Request(abi.DEV_STATUS, "lower")).flags & abi.DEFERRED_REMOVE
        rig.dm.remove("upper")
        rig.dm.remove("lower")

    # -- rename ----------------------------------------------------------------------------------------

    def test_rename(self, rig: Rig) -> None:
        made = rig.dm.create("a", "UUID-a")
        renamed = rig.dm.rename("a", "b")
        assert (renamed.name, renamed.uuid, renamed.minor) == ("b", "UUID-a", made.minor)
        assert rig.dm.info(name="a") is None
        assert rig.dm.info(name="b") == rig.dm.info(uuid="UUID-a")

    def test_rename_to_a_taken_name_is_refused(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.create("b")
        with pytest.raises(DmExists):
            rig.dm.rename("a", "b")
        assert refused(lambda: rig.dm.rename("a", "a")) == "EBUSY"
        assert [entry.name for entry in rig.dm.names()] == ["a", "b"]

    @pytest.mark.parametrize("new", ["", "x/y", "n" * 128])
    def test_rename_to_an_impossible_name_is_refused(self, rig: Rig, new: str) -> None:
        rig.dm.create("a")
        assert refused(lambda: rig.kernel.call(Request(abi.DEV_RENAME, "a", data=wire.pack_text(new)))) == "EINVAL"
        with pytest.raises((InvalidName, DmError)):
            rig.dm.rename("a", new)
        assert rig.dm.info(name="a") is not None

    def test_the_kernel_renames_by_name_only(self, rig: Rig) -> None:
        rig.dm.create("a", "UUID-a")
        request = Request(abi.DEV_RENAME, uuid="UUID-a", data=wire.pack_text("b"))
        assert refused(lambda: rig.kernel.call(request)) == "ENXIO"
        assert rig.dm.rename(by_uuid("UUID-a"), "b").name == "b"

    def test_a_uuid_can_be_set_once(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.set_uuid("a", "UUID-a")
        assert rig.dm.info(uuid="UUID-a") == rig.dm.info(name="a")
        assert refused(lambda: rig.dm.set_uuid("a", "UUID-b")) == "EINVAL"
        rig.dm.create("b")
        with pytest.raises(DmExists):
            rig.dm.set_uuid("b", "UUID-a")
        rig.dm.set_uuid("b", "u" * 128)

    def test_open_devices_can_be_renamed(self, rig: Rig) -> None:
        lower, _ = self._stack(rig)
        rig.dm.rename("lower", "deeper")
        assert rig.dm.deps("upper") == ((lower.major, lower.minor),)
        assert rig.dm.table("upper") == (line(0, MIB, "linear", f"{words(lower)} 0"),)

    # -- events, messages, geometry --------------------------------------------------------------------

    def test_a_rename_is_an_event_when_there_is_a_live_table(self, rig: Rig) -> None:
        rig.dm.create("a")
        assert rig.dm.rename("a", "b").event_nr == 0
        rig.dm.load("b", zeros())
        assert rig.dm.resume("b").event_nr == 0
        assert rig.dm.rename("b", "c").event_nr == 1
        assert rig.dm.names()[0].event_nr == 1

    def test_a_wait_for_a_past_event_returns_at_once(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.dm.rename("a", "b")
        device = rig.dm.wait("b", 0)
        assert device is not None
        assert device.event_nr == 1
        assert rig.dm.wait("b", 0, timeout=10) == device

    def test_a_bounded_wait_ends(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        assert rig.dm.wait("a", 0, timeout=0.01) is None

    def test_arming_shows_events_since(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        rig.kernel.call(Request(abi.DEV_ARM_POLL))
        assert not rig.kernel.poll(0)
        rig.dm.rename("a", "b")
        assert rig.kernel.poll(0)
        assert rig.kernel.poll(0), "until it is armed again"
        rig.kernel.call(Request(abi.DEV_ARM_POLL))
        assert not rig.kernel.poll(0)

    def test_targets_that_take_no_message_refuse_it(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")
        assert refused(lambda: rig.dm.message("a", 0, "hello")) == "EINVAL"
        assert refused(lambda: rig.dm.message("a", MIB, "hello")) == "EINVAL"

    def test_a_message_needs_a_live_table(self, rig: Rig) -> None:
        rig.dm.create("a")
        assert refused(lambda: rig.dm.message("a", 0, "hello")) == "ENODATA"

    def test_geometry_needs_a_table_and_the_range(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        rig.dm.resume("a")

        def geometry(text: str) -> object:
            return rig.kernel.call(Request(abi.DEV_SET_GEOMETRY, "a", data=wire.pack_text(text)))

        geometry("100 16 63 0")
        for bad in ("100 16 63", "100 16 63 0 1", "100 16 x 0", "65536 1 1 0", "1 256 1 0", "1 1 256 0", "1 1 1 2"):
            assert refused(lambda bad=bad: geometry(bad)) == "EINVAL", bad

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

    # -- remove all ------------------------------------------------------------------------------------

    def test_remove_all_takes_what_is_not_open(self, rig: Rig) -> None:
        self._stack(rig)
        rig.dm.create("open")
        rig.dm.load("open", zeros())
        rig.dm.resume("open")
        rig.hold("open")
        try:
            rig.kernel.call(Request(abi.REMOVE_ALL))
            assert [entry.name for entry in rig.dm.names()] == ["open"]
        finally:
            rig.release("open")
        rig.kernel.call(Request(abi.REMOVE_ALL))
        assert rig.dm.names() == ()
