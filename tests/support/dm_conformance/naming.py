"""Devices come, are found and listed, and change their names."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from tests.support.dm_conformance.rig import MIB, Rig, line, refused, stack, words, zeros
from vmgr.core.errors import AlreadyExists, AmbiguousName, InvalidName, NotFound, Refused
from vmgr.dm import abi, wire
from vmgr.dm.client import by_name, by_number, by_uuid
from vmgr.dm.failure import DmError, DmExists, DmNotFound
from vmgr.dm.wire import Request


class NamingConformance:
    """Devices come, are found and listed, and change their names."""

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

    def test_the_kernel_does_not_look_at_the_major_asked_for(self, rig: Rig) -> None:
        """So the client does: another than the kernel's is refused, and none means the kernel's."""
        request = Request(abi.DEV_CREATE, "a", dev=abi.dev_number(7, 12), flags=abi.PERSISTENT_DEV)
        assert abi.major_minor(rig.kernel.call(request).dev) == (rig.kernel.block_major(), 12)
        with pytest.raises(Refused, match="major number 7 cannot be made"):
            rig.dm.create("b", numbers=(7, 13))
        assert rig.dm.info(name="b") is None
        for i, major in enumerate((-1, 0, rig.kernel.block_major())):
            made = rig.dm.create(f"c{i}", numbers=(major, 20 + i))
            assert (made.major, made.minor) == (rig.kernel.block_major(), 20 + i)

    def test_the_largest_minor_is_2_to_the_20_less_1(self, rig: Rig) -> None:
        assert rig.dm.create("a", numbers=(0, (1 << 20) - 1)).minor == (1 << 20) - 1
        for minor in (-1, 1 << 20):
            with pytest.raises(InvalidName, match="minor"):
                rig.dm.create("b", numbers=(0, minor))

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
        lower, _ = stack(rig)
        rig.dm.rename("lower", "deeper")
        assert rig.dm.deps("upper") == ((lower.major, lower.minor),)
        assert rig.dm.table("upper") == (line(0, MIB, "linear", f"{words(lower)} 0"),)
