"""What the client makes of several commands: wiping, removing all, geometry; and refusals as values."""

from __future__ import annotations

import errno

import pytest

from tests.support.dm_conformance.rig import MIB, Rig, line, refused, stack, started, until, words, zeros
from vmgr.core.errors import InvalidName, KernelError
from vmgr.dm import abi, wire
from vmgr.dm.client import by_name, by_number
from vmgr.dm.failure import DmError, DmExists
from vmgr.dm.wire import Request


class ChangingConformance:
    """Commands of the client that are more than one ioctl, or whose ioctl says little."""

    # -- wipe ----------------------------------------------------------------------------------------

    def test_wiping_leaves_a_device_of_the_same_size_that_fails(self, rig: Rig) -> None:
        disk = rig.disk(2)
        started(
            rig, "a", [line(0, MIB, "linear", f"{words(disk)} 0"), line(MIB, 8, "linear", f"{words(disk)} {MIB}")]
        )
        rig.dm.load("a", zeros())
        device = rig.dm.wipe("a")
        assert not device.suspended
        assert not device.has_inactive
        assert rig.dm.table("a") == (line(0, MIB + 8, "error"),)
        assert rig.dm.deps("a") == ()

    def test_an_open_and_suspended_device_can_be_wiped(self, rig: Rig) -> None:
        lower, _ = stack(rig)
        rig.dm.suspend("lower", flush=False, freeze=False)
        assert not rig.dm.wipe(by_number(lower.major, lower.minor), flush=False, freeze=False).suspended
        assert rig.dm.table("lower") == (line(0, MIB, "error"),)
        assert not rig.dm.suspended()

    def test_a_wiped_device_stays_read_only(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros(), read_only=True)
        rig.dm.resume("a")
        assert rig.dm.wipe("a").read_only

    def test_without_a_live_table_there_is_nothing_to_wipe(self, rig: Rig) -> None:
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        before = rig.dm.info(name="a")
        with pytest.raises(KernelError, match="no live table"):
            rig.dm.wipe("a")
        assert rig.dm.info(name="a") == before

    # -- remove all ------------------------------------------------------------------------------------

    def test_remove_all_names_what_is_left(self, rig: Rig) -> None:
        stack(rig)
        started(rig, "open")
        rig.dm.suspend("upper")
        rig.hold("open")
        try:
            assert rig.dm.remove_all() == ("open",)
            assert not rig.dm.suspended()
            assert rig.dm.remove_all(deferred=True) == ("open",)
            found = rig.dm.info(name="open")
            assert found is not None
            assert found.deferred_remove
        finally:
            rig.release("open")
        until(lambda: rig.dm.names() == ())

    def test_an_open_device_that_is_to_go_takes_what_is_below_with_it(self, rig: Rig) -> None:
        stack(rig)
        rig.hold("upper")
        try:
            assert rig.dm.remove_all(deferred=True) == ("lower", "upper")
        finally:
            rig.release("upper")
        until(lambda: rig.dm.names() == ())

    # -- geometry --------------------------------------------------------------------------------------

    def test_geometry_is_taken_in_range_only(self, rig: Rig) -> None:
        started(rig)
        rig.dm.set_geometry("a", 65535, 255, 255, 0)
        rig.dm.set_geometry(by_name("a"), 0, 0, 0, 0)
        for numbers in ((65536, 1, 1, 0), (1, 256, 1, 0), (1, 1, 256, 0), (1, 1, 1, 2), (-1, 1, 1, 0)):
            assert refused(lambda numbers=numbers: rig.dm.set_geometry("a", *numbers)) == "EINVAL"

    @pytest.mark.parametrize(
        ("text", "taken"),
        [
            ("100 16 63 0", True),
            ("  100   16 63 0", True),
            ("100 16 63 0 ", False),
            ("+1 1 1 0", False),
            ("0x1 1 1 0", False),
            ("", False),
            ("1 1 1", False),
            ("1 1 1 0 0", False),
            ("1 1 1 1", True),
        ],
    )
    def test_geometry_is_four_plain_numbers(self, rig: Rig, text: str, taken: bool) -> None:
        rig.dm.create("a")
        request = Request(abi.DEV_SET_GEOMETRY, "a", data=wire.pack_text(text))
        if taken:
            rig.kernel.call(request)
        else:
            assert refused(lambda: rig.kernel.call(request)) == "EINVAL"

    # -- names -----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", [".", "..", "control"])
    def test_names_of_other_nodes_are_refused(self, rig: Rig, name: str) -> None:
        """Linux before 6.5 takes them; the client does not, and still reaches a device that has one."""
        rig.dm.create("a")
        with pytest.raises(InvalidName):
            rig.dm.create(name)
        with pytest.raises(InvalidName):
            rig.dm.rename("a", name)
        if rig.kernel.version < (4, 48, 0):
            rig.kernel.call(Request(abi.DEV_CREATE, name))
            assert rig.dm.remove(by_name(name))
        assert [entry.name for entry in rig.dm.names()] == ["a"]

    def test_uuids_are_checked_before_they_are_given(self, rig: Rig) -> None:
        rig.dm.create("a")
        for uuid in ("", "u" * 129, "é" * 65):
            with pytest.raises(InvalidName):
                rig.dm.set_uuid("a", uuid)
        request = Request(abi.DEV_RENAME, "a", flags=abi.UUID, data=wire.pack_text("u" * 129))
        assert refused(lambda: rig.kernel.call(request)) == "EINVAL"
        request = request._replace(data=b"\0")
        assert refused(lambda: rig.kernel.call(request)) == "EINVAL"
        rig.dm.set_uuid("a", "with/slash")
        assert rig.dm.info(uuid="with/slash") is not None

    def test_a_uuid_is_a_prefix_in_a_list(self, rig: Rig) -> None:
        """And a name, too; both together select what has both."""
        for name, uuid in (("a", "LVM-1"), ("ab", "LVM-2"), ("b", "CRYPT-1"), ("c", "")):
            rig.dm.create(name, uuid)

        def listed(name: str, uuid: str) -> list[str]:
            reply = rig.kernel.call(Request(abi.LIST_DEVICES, name, uuid))
            return [entry.name for entry in wire.unpack_names(reply.data, rig.kernel.version)]

        assert listed("", "LVM-") == ["a", "ab"]
        assert listed("a", "") == ["a", "ab"]
        assert listed("ab", "LVM-") == ["ab"]
        assert listed("a", "CRYPT-") == []
        assert listed("c", "") == ["c"]
        assert [entry.name for entry in rig.dm.names(name="a", uuid="LVM-")] == ["a", "ab"]
        assert [entry.name for entry in rig.dm.names(uuid="CRYPT-")] == ["b"]
        assert [device.name for device in rig.dm.devices(prefix="CRYPT-")] == ["b"]

    # -- refusals ----------------------------------------------------------------------------------------

    def test_a_refusal_keeps_what_was_asked_and_what_came_back(self, rig: Rig) -> None:
        rig.dm.create("a", "UUID-a")
        with pytest.raises(DmError) as caught:
            rig.dm.load("a", [line(0, 8, "no-such-target", "words")])
        error = caught.value
        assert (error.command, error.device, error.errno) == ("load", "a", errno.EINVAL)
        assert (error.request.command, error.request.target_count) == (abi.TABLE_LOAD, 1)
        assert wire.unpack_table(error.request.data, 1) == (line(0, 8, "no-such-target", "words"),)
        assert error.reply is None or error.reply.version == rig.kernel.version

    def test_a_refusal_of_secret_data_keeps_nothing_of_them(self, rig: Rig) -> None:
        rig.dm.create("a")
        with pytest.raises(DmError) as caught:
            rig.dm.load("a", [line(0, 8, "no-such-target", "secret")], secure=True)
        assert caught.value.request.data == b""
        assert "secret" not in repr(vars(caught.value))

    def test_a_taken_minor_is_named(self, rig: Rig) -> None:
        rig.dm.create("a", numbers=(0, 5))
        with pytest.raises(DmExists, match="minor number is taken: 5"):
            rig.dm.create("b", numbers=(0, 5))

    @pytest.mark.parametrize(
        ("target", "params", "code"),
        [
            ("zero", "surplus", "EINVAL"),
            ("linear", "/dev/no-such-node 0", "ENODEV"),
            ("linear", "7:x 0", "ENODEV"),
            ("linear", "5000000:0 0", "EOVERFLOW"),
            ("linear", "7:0 -1", "EINVAL"),
            ("striped", "2 7 7:0 0 7:0 8", "EINVAL"),
        ],
    )
    def test_bad_parameters_have_their_errno(self, rig: Rig, target: str, params: str, code: str) -> None:
        rig.dm.create("a")
        assert refused(lambda: rig.dm.load("a", [line(0, 8, target, params)])) == code

    def test_the_error_target_takes_any_words(self, rig: Rig) -> None:
        started(rig, "a", [line(0, 8, "error", "any words")])
        assert rig.dm.table("a") == (line(0, 8, "error"),)

    def test_fewer_lines_than_announced_are_refused(self, rig: Rig) -> None:
        rig.dm.create("a")
        request = Request(abi.TABLE_LOAD, "a", target_count=2, data=wire.pack_table(zeros()))
        assert refused(lambda: rig.kernel.call(request)) == "EINVAL"
        assert refused(lambda: rig.kernel.call(request._replace(target_count=0))) == "EINVAL"
