"""The header of every reply: which flags a command takes, and what comes back of them, of the names and numbers."""

from __future__ import annotations

import pytest

from tests.support.dm_conformance.rig import MIB, Rig, line, refused, stack, started, until, words, zeros
from vmgr.dm import abi, wire
from vmgr.dm.abi import Command
from vmgr.dm.wire import Reply, Request

STATES = abi.SUSPEND | abi.READONLY | abi.ACTIVE_PRESENT | abi.INACTIVE_PRESENT | abi.DEFERRED_REMOVE
TABLE = wire.pack_table(zeros())

PAIRS = [
    (command, flag) for command in abi.COMMANDS for flag in abi.FLAGS if flag.goes_in and command.flags & flag.bit
]
"""Every command with every flag that it takes."""


def request(command: Command, **fields: object) -> Request:
    """A request that succeeds on a machine where device ``a`` has a live table and has had an event."""
    whole = {
        abi.VERSION: Request(command),
        abi.REMOVE_ALL: Request(command),
        abi.LIST_DEVICES: Request(command),
        abi.DEV_CREATE: Request(command, "new", dev=abi.dev_number(0, 77)),
        abi.DEV_REMOVE: Request(command, "a"),
        abi.DEV_RENAME: Request(command, "a", data=b"new\0"),
        abi.TABLE_LOAD: Request(command, "a", target_count=1, data=TABLE),
        abi.LIST_VERSIONS: Request(command),
        abi.TARGET_MSG: Request(command, "a", data=wire.pack_message(0, "@cancel_deferred_remove")),
        abi.DEV_SET_GEOMETRY: Request(command, "a", data=b"1 1 1 0\0"),
        abi.DEV_ARM_POLL: Request(command),
        abi.GET_TARGET_VERSION: Request(command, "zero"),
    }.get(command) or Request(command, "a")
    return whole._replace(**fields)  # type: ignore[arg-type]


def words_of(flags: int) -> tuple[str, ...]:
    return abi.flag_names(flags)


class HeaderConformance:
    """What the kernel fills in, leaves as it was, and takes away."""

    @pytest.fixture
    def live(self, rig: Rig) -> Rig:
        """Device ``a`` runs and has had one event."""
        started(rig, "b")
        rig.dm.rename("b", "a")
        return rig

    @pytest.mark.parametrize(("command", "flag"), PAIRS, ids=lambda value: value.name)
    def test_every_command_takes_its_flags(self, live: Rig, command: Command, flag: abi.Flag) -> None:
        """What was asked stays in the reply's flags, if it is no state of the device's and not "secure"."""
        reply = live.kernel.call(request(command, flags=flag.bit))
        assert reply.version == live.kernel.version
        if command.silent:
            assert reply == Reply(live.kernel.version)
        elif not flag.bit & (STATES | abi.SECURE_DATA):
            assert reply.flags & flag.bit
        else:
            assert not reply.flags & abi.SECURE_DATA

    @pytest.mark.parametrize("command", abi.COMMANDS, ids=lambda command: command.name)
    def test_every_command_answers_and_tells_the_version(self, live: Rig, command: Command) -> None:
        reply = live.kernel.call(request(command))
        assert reply.version == live.kernel.version
        if command.silent:
            assert reply == Reply(live.kernel.version)

    @pytest.mark.parametrize("command", abi.COMMANDS, ids=lambda command: command.name)
    def test_a_name_and_a_uuid_together_are_refused_by_all_that_look_at_them(
        self, live: Rig, command: Command
    ) -> None:
        both = request(command, name="zero", uuid="UUID")
        if command in (abi.VERSION, abi.REMOVE_ALL, abi.LIST_DEVICES, abi.LIST_VERSIONS, abi.DEV_CREATE):
            live.kernel.call(both)
        else:
            assert refused(lambda: live.kernel.call(both)) == "EINVAL"

    @pytest.mark.parametrize(
        "command",
        [c for c in abi.COMMANDS if request(c).name == "a" and c not in (abi.DEV_CREATE, abi.DEV_RENAME)],
        ids=lambda command: command.name,
    )
    def test_an_absent_device_is_refused_by_all_commands_alike(self, rig: Rig, command: Command) -> None:
        for way in ({"name": "absent"}, {"name": "", "uuid": "absent"}, {"name": "", "dev": 0xFE99}, {"name": ""}):
            assert refused(lambda way=way: rig.kernel.call(request(command, **way))) == "ENXIO"

    def test_a_device_is_found_by_each_of_its_names_and_all_come_back(self, rig: Rig) -> None:
        made = started(rig, "a", uuid="UUID-a")
        dev = abi.dev_number(made.major, made.minor)
        for way in ({"name": "a"}, {"uuid": "UUID-a"}, {"dev": dev}):
            reply = rig.kernel.call(Request(abi.DEV_STATUS, **way))  # type: ignore[arg-type]
            assert (reply.name, reply.uuid, reply.dev) == ("a", "UUID-a", dev)

    def test_a_created_device_s_header(self, rig: Rig) -> None:
        """The event number that went in does not come back."""
        reply = rig.kernel.call(Request(abi.DEV_CREATE, "a", "UUID-a", event_nr=77))
        dev = abi.dev_number(rig.kernel.block_major(), 0)
        assert reply == Reply(rig.kernel.version, 0, 0, 0, 0, dev, "a", "UUID-a")

    def test_a_removed_device_s_header_has_names_and_what_was_asked(self, live: Rig) -> None:
        live.dm.set_uuid("a", "UUID-a")
        live.dm.load("a", zeros())
        reply = live.kernel.call(Request(abi.DEV_REMOVE, "a", event_nr=5))
        flags = abi.INACTIVE_PRESENT | abi.UEVENT_GENERATED
        assert reply == Reply(live.kernel.version, 0, 0, flags, 5, 0, "a", "UUID-a")

    def test_a_removal_that_waits_says_so_and_nothing_of_the_state(self, rig: Rig) -> None:
        stack(rig)
        reply = rig.kernel.call(Request(abi.DEV_REMOVE, "lower", flags=abi.DEFERRED_REMOVE))
        assert reply == Reply(rig.kernel.version, 0, 0, abi.DEFERRED_REMOVE, 0, 0, "lower", "")
        found = rig.kernel.call(Request(abi.DEV_STATUS, "lower"))
        assert words_of(found.flags) == ("active-present", "deferred-remove")
        rig.dm.remove("upper")
        until(lambda: rig.dm.names() == ())

    def test_a_renamed_device_s_header_has_the_old_name_and_no_word_of_a_waiting_table(self, rig: Rig) -> None:
        started(rig, "a", uuid="UUID-a")
        rig.dm.load("a", zeros())
        reply = rig.kernel.call(Request(abi.DEV_RENAME, "a", data=b"b\0"))
        assert (reply.name, reply.uuid) == ("a", "")
        assert words_of(reply.flags) == ("active-present", "uevent-generated")
        assert rig.dm.rename("b", "c") == rig.dm.info(name="c")

    def test_nothing_is_announced_of_a_device_that_never_had_a_table(self, rig: Rig) -> None:
        """There is no disk yet, so udev knows nothing of it."""
        rig.dm.create("a")
        call = rig.kernel.call
        assert not call(Request(abi.DEV_RENAME, "a", data=b"b\0")).flags & abi.UEVENT_GENERATED
        assert not call(Request(abi.DEV_RENAME, "b", data=b"U\0", flags=abi.UUID)).flags & abi.UEVENT_GENERATED
        assert not call(Request(abi.DEV_REMOVE, "b")).flags & abi.UEVENT_GENERATED
        rig.dm.create("a")
        rig.dm.load("a", zeros())
        assert call(Request(abi.DEV_RENAME, "a", data=b"b\0")).flags & abi.UEVENT_GENERATED
        assert call(Request(abi.DEV_REMOVE, "b")).flags & abi.UEVENT_GENERATED

    def test_a_query_of_the_waiting_table_tells_of_it(self, rig: Rig) -> None:
        """Lines and read-only of the waiting table; that there is a live one all the same."""
        started(rig, "a")
        rig.dm.load("a", [line(0, 8, "zero"), line(8, 8, "error")], read_only=True)
        reply = rig.kernel.call(Request(abi.DEV_STATUS, "a", flags=abi.QUERY_INACTIVE_TABLE))
        assert reply.target_count == 2
        assert words_of(reply.flags) == ("readonly", "active-present", "inactive-present", "query-inactive-table")
        live = rig.kernel.call(Request(abi.DEV_STATUS, "a"))
        assert live.target_count == 1
        assert words_of(live.flags) == ("active-present", "inactive-present")

    def test_the_reader_tells_the_same_as_values(self, rig: Rig) -> None:
        started(rig, "a")
        rig.dm.load("a", [line(0, 8, "zero"), line(8, 8, "error")], read_only=True)
        waiting = rig.dm.info(name="a", inactive=True, table=True, status=True)
        live = rig.dm.info(name="a", table=True)
        assert waiting is not None
        assert live is not None
        assert (waiting.target_count, waiting.read_only) == (2, True)
        assert waiting.table == waiting.status == (line(0, 8, "zero"), line(8, 8, "error"))
        assert (live.target_count, live.read_only, live.table) == (1, False, tuple(zeros()))
        assert rig.dm.status("a", inactive=True) == (line(0, 8, "zero"), line(8, 8, "error"))
        assert not live.deferred_remove
        assert not live.internal_suspend

    def test_secret_data_come_and_go_as_others_do(self, rig: Rig) -> None:
        disk = rig.disk(1)
        rig.dm.create("a")
        lines = [line(0, 8, "linear", f"{words(disk)} 16"), line(8, 8, "linear", f"{words(disk)} 0")]
        rig.dm.load("a", lines, secure=True)
        assert rig.dm.table("a", inactive=True, secure=True) == tuple(lines)
        rig.dm.resume("a")
        assert rig.dm.table("a", secure=True) == rig.dm.table("a") == tuple(lines)
        rig.dm.message("a", 0, "@cancel_deferred_remove", secure=True)
        assert refused(lambda: rig.dm.message("a", 0, "hello", secure=True)) == "EINVAL"
        assert refused(lambda: rig.dm.load("a", [line(0, 8, "linear", "secret")], secure=True)) == "EINVAL"

    def test_a_secret_table_of_any_length_fits(self, rig: Rig) -> None:
        disk = rig.disk(8)
        lines = [line(8 * i, 8, "linear", f"{words(disk)} {8 * (i ^ 1)}") for i in range(1000)]
        rig.dm.create("a")
        rig.dm.load("a", lines, secure=True)
        assert rig.dm.table("a", inactive=True, secure=True) == tuple(lines)

    def test_a_wait_returns_a_status_of_any_length(self, rig: Rig) -> None:
        """Longer than the first buffer, which is small so that a wait holds nobody up."""
        disk = rig.disk(8)
        lines = [line(8 * i, 8, "linear", f"{words(disk)} {8 * (i ^ 1)}") for i in range(1000)]
        started(rig, "a", lines)
        rig.dm.rename("a", "b")
        reply = rig.kernel.call(Request(abi.DEV_WAIT, "b", flags=abi.STATUS_TABLE, event_nr=0))
        assert not reply.flags & abi.BUFFER_FULL
        assert wire.unpack_status(reply.data, reply.target_count) == tuple(lines)

    def test_a_measurement_tells_what_the_targets_are_made_of(self, rig: Rig) -> None:
        one, two = rig.disk(1), rig.disk(1)
        lines = [
            line(0, 256, "linear", f"{words(one)} 8"),
            line(256, 256, "striped", f"2 128 {words(one)} 1024 {words(two)} 0"),
            line(512, 8, "zero"),
        ]
        started(rig, "a", lines)
        versions = {name: ".".join(map(str, version)) for name, version in rig.dm.targets().items()}
        linear, striped, zero = rig.dm.measure("a")
        start = f"target_name=linear,target_version={versions['linear']}"
        assert linear == line(0, 256, "linear", f"{start},device_name={words(one)},start=8;")
        assert striped.params == (
            f"target_name=striped,target_version={versions['striped']},stripes=2,chunk_size=128,"
            f"stripe_0_device_name={words(one)},stripe_0_physical_start=1024,stripe_0_status=A,"
            f"stripe_1_device_name={words(two)},stripe_1_physical_start=0,stripe_1_status=A;"
        )
        assert zero == line(512, 8, "zero")
        assert rig.dm.measure("a") == rig.dm.measure("a")

    def test_a_snapshot_is_measured(self, rig: Rig) -> None:
        origin, store = rig.disk(4), rig.disk(2)
        started(rig, "a", [line(0, 4 * MIB, "snapshot", f"{words(origin)} {words(store)} P 8")])
        version = ".".join(map(str, rig.dm.targets()["snapshot"]))
        (found,) = rig.dm.measure("a")
        assert found.params == (
            f"target_name=snapshot,target_version={version},snap_origin_name={words(origin)},"
            f"snap_cow_name={words(store)},snap_valid=y,snap_merge_failed=n,snapshot_overflowed=n;"
        )
