"""The interface, targets and their versions; events, messages, geometry."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.dm_conformance.rig import MIB, Rig, refused, zeros
from vmgr.dm import abi, wire
from vmgr.dm.wire import Request


class TellingConformance:
    """The interface, targets and their versions; events, messages, geometry."""

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

    def test_a_poll_ends_for_what_comes_goes_or_gets_another_table(self, rig: Rig) -> None:
        """And for no suspend and resume, load or clear."""

        def ends(action: Callable[[], object]) -> bool:
            rig.kernel.call(Request(abi.DEV_ARM_POLL))
            action()
            return rig.kernel.poll(0)

        assert ends(lambda: rig.dm.create("a"))
        assert not ends(lambda: rig.dm.load("a", zeros()))
        assert ends(lambda: rig.dm.resume("a"))
        assert not ends(lambda: rig.dm.suspend("a"))
        assert not ends(lambda: rig.dm.resume("a"))
        rig.dm.load("a", zeros(8))
        assert ends(lambda: rig.dm.resume("a"))
        assert not ends(lambda: rig.dm.load("a", zeros()))
        assert not ends(lambda: rig.dm.clear("a"))
        assert ends(lambda: rig.dm.set_uuid("a", "UUID-a"))
        assert ends(lambda: rig.dm.remove("a"))

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
