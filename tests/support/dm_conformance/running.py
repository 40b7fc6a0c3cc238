"""Suspend and resume, what is held open, and removal."""

from __future__ import annotations

import errno

import pytest

from tests.support.dm_conformance.rig import Rig, line, refused, stack, until, words, zeros
from vmgr.core.errors import InUse
from vmgr.dm import abi
from vmgr.dm.failure import DmInUse
from vmgr.dm.wire import Request


class RunningConformance:
    """Suspend and resume, what is held open, and removal."""

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
        stack(rig)
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
        lower, _ = stack(rig)
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
        lower, _ = stack(rig)
        rig.dm.load("upper", [line(0, 8, "linear", f"{words(lower)} 8")], read_only=True)
        held = rig.dm.info(name="lower")
        assert held is not None
        assert held.open_count == 2

    def test_a_new_table_lets_go_of_what_the_old_one_used(self, rig: Rig) -> None:
        stack(rig)
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
        stack(rig)
        assert not rig.dm.remove("lower", deferred=True)
        assert rig.dm.info(name="lower") is not None
        assert rig.kernel.call(Request(abi.DEV_STATUS, "lower")).flags & abi.DEFERRED_REMOVE
        rig.dm.remove("upper")
        until(lambda: rig.dm.info(name="lower") is None)

    def test_a_deferred_removal_can_be_called_off(self, rig: Rig) -> None:
        stack(rig)
        rig.dm.remove("lower", deferred=True)
        rig.dm.message("lower", 0, "@cancel_deferred_remove")
        assert not rig.kernel.call(Request(abi.DEV_STATUS, "lower")).flags & abi.DEFERRED_REMOVE
        rig.dm.remove("upper")
        rig.dm.remove("lower")

    # -- remove all ------------------------------------------------------------------------------------

    def test_remove_all_takes_what_is_not_open(self, rig: Rig) -> None:
        stack(rig)
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
