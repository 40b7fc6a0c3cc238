"""Refusals: by version before the call, in words for every command, with the kernel's log, without secrets."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.support.dm_conformance import line
from tests.support.dm_conformance.headers import PAIRS, request
from tests.support.dm_shim import Shim
from vmgr.core.errors import AlreadyExists, InUse, NotFound
from vmgr.dm import abi, wire
from vmgr.dm import kernel as kernel_module
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.errnos import explain
from vmgr.dm.failure import DmError, Unsupported, command_name
from vmgr.dm.kernel import IoctlKernel, check
from vmgr.dm.kmsg import KernelLog, telling
from vmgr.dm.wire import Reply, Request
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

# -- versions ---------------------------------------------------------------------------------------


def before(version: abi.Version) -> abi.Version:
    """The last interface without what came with ``version``."""
    return version[0], version[1] - 1, 99


@pytest.mark.parametrize(
    "command", [command for command in abi.COMMANDS if command.since > (4, 0, 0)], ids=lambda command: command.name
)
def test_a_command_is_refused_by_name_below_its_version_and_only_there(command: abi.Command) -> None:
    old = FakeKernel(version=before(command.since))
    with pytest.raises(Unsupported, match=f"no command {command_name(request(command))}: it came with"):
        old.call(request(command))
    assert old.calls == []
    check(request(command), command.since)


@pytest.mark.parametrize(("command", "flag"), PAIRS, ids=lambda value: value.name)
def test_a_flag_is_refused_by_name_below_its_version_and_only_there(command: abi.Command, flag: abi.Flag) -> None:
    wanted = request(command, flags=flag.bit)
    since = abi.flag_since(command, flag)
    check(wanted, since)
    if since > command.since:
        old = FakeKernel(version=before(since))
        with pytest.raises(Unsupported, match=f"no flag {flag.name} of {command_name(wanted)}: it came with"):
            old.call(wanted)
        assert old.calls == []


@pytest.mark.parametrize("command", abi.COMMANDS, ids=lambda command: command.name)
def test_flags_that_a_command_never_heeds_are_a_mistake(command: abi.Command) -> None:
    for flag in abi.FLAGS:
        if not command.flags & flag.bit:
            with pytest.raises(ValueError, match=f"does not take the flag {flag.name}"):
                check(request(command, flags=flag.bit), (4, 99, 0))


def test_a_list_with_uuids_came_after_the_flag() -> None:
    """Interfaces 4.19 to 4.44 would take the flag and leave the UUIDs out."""
    with pytest.raises(Unsupported, match=r"flag uuid of list: it came with interface 4\.45\.0"):
        check(Request(abi.LIST_DEVICES, flags=abi.UUID), (4, 44, 0))
    check(Request(abi.DEV_RENAME, "a", flags=abi.UUID), (4, 19, 0))


def test_all_input_flags_are_taken_by_some_command() -> None:
    taken = {flag.name for _, flag in PAIRS}
    assert taken == {flag.name for flag in abi.FLAGS if flag.goes_in}


@pytest.mark.parametrize(
    ("flag", "call"),
    [
        ("deferred-remove", lambda dm: dm.remove("a", deferred=True)),
        ("deferred-remove", lambda dm: dm.remove_all(deferred=True)),
        ("secure-data", lambda dm: dm.load("a", [line(0, 8, "zero")], secure=True)),
        ("secure-data", lambda dm: dm.table("a", secure=True)),
        ("query-inactive-table", lambda dm: dm.table("a", inactive=True)),
        ("query-inactive-table", lambda dm: dm.status("a", inactive=True)),
        ("query-inactive-table", lambda dm: dm.deps("a", inactive=True)),
        ("query-inactive-table", lambda dm: dm.info(name="a", inactive=True)),
        ("ima-measurement", lambda dm: dm.measure("a")),
        ("uuid", lambda dm: dm.set_uuid("a", "UUID")),
        ("skip-lockfs", lambda dm: dm.suspend("a", freeze=False)),
        ("command armpoll", lambda dm: dm.arm_poll()),
        ("command setgeometry", lambda dm: dm.set_geometry("a", 1, 1, 1, 0)),
        ("command message", lambda dm: dm.message("a", 0, "x")),
        ("command targets", lambda dm: dm.targets()),
    ],
)
def test_the_client_says_what_an_old_kernel_lacks(flag: str, call: object) -> None:
    """Nothing is done by halves, and nothing that was asked for is left out in silence."""
    kernel = FakeKernel(version=(4, 0, 0))
    dm = DmClient(kernel, nodes=FakeNodes())
    dm.create("a")
    dm.load("a", [line(0, 8, "zero")])
    dm.resume("a")
    before_ = dm.info(name="a")
    with pytest.raises(Unsupported, match=flag):
        call(dm)  # type: ignore[operator]
    assert dm.info(name="a") == before_


# -- words ------------------------------------------------------------------------------------------

ERRNOS = [
    getattr(errno, name)
    for name in ["EBUSY", "ENXIO", "EEXIST", "EINVAL", "ENOTTY", "ENOMEM", "EPERM", "EACCES", "EINTR"]
]
WORDS = [
    *((command, 0) for command in abi.COMMANDS),
    (abi.DEV_SUSPEND, abi.SUSPEND),
    (abi.DEV_RENAME, abi.UUID),
    (abi.TABLE_STATUS, abi.STATUS_TABLE),
]


@pytest.mark.parametrize("code", ERRNOS, ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize(("command", "flags"), WORDS, ids=lambda value: getattr(value, "name", str(value)))
def test_every_command_has_words_for_what_it_can_be_refused_with(
    command: abi.Command, flags: int, code: int
) -> None:
    """Words of ours, not the C library's, and the names of command, device and errno."""
    error = explain(Request(command, "vg-lv", flags=flags), code)
    assert f": {command_name(error.request)} vg-lv: " in error.message
    assert error.message.endswith(f" ({errno.errorcode[code]})")
    assert os.strerror(code).lower() not in error.message.replace("permission denied", "")


@pytest.mark.parametrize(
    ("code", "kind", "commands"),
    [
        (errno.EBUSY, InUse, (abi.DEV_REMOVE, abi.TABLE_LOAD, abi.DEV_SUSPEND, abi.TARGET_MSG)),
        (errno.EBUSY, AlreadyExists, (abi.DEV_CREATE, abi.DEV_RENAME)),
        (errno.ENXIO, NotFound, (abi.DEV_REMOVE, abi.DEV_STATUS, abi.TABLE_LOAD, abi.TARGET_MSG, abi.DEV_WAIT)),
        (errno.EEXIST, AlreadyExists, (abi.TABLE_LOAD, abi.TARGET_MSG)),
    ],
)
def test_callers_can_catch_what_it_means(
    code: int, kind: type[Exception], commands: tuple[abi.Command, ...]
) -> None:
    for command in commands:
        assert isinstance(explain(Request(command, "a"), code), kind), command.name


def test_the_kernel_s_own_words_end_the_message_and_spare_the_hint() -> None:
    log = ("table: 254:0: linear: Invalid argument count (-EINVAL)", "ioctl: error adding target to table")
    error = explain(Request(abi.TABLE_LOAD, "a"), errno.EINVAL, log=log)
    assert error.message.endswith("(EINVAL): table: 254:0: linear: Invalid argument count (-EINVAL)")
    assert error.hint == ""
    assert error.log == log
    assert "dmesg" in explain(Request(abi.TABLE_LOAD, "a"), errno.EINVAL).hint


# -- the kernel's log ---------------------------------------------------------------------------------


def test_only_the_device_mapper_s_lines_since_the_mark_are_taken(tmp_path: Path) -> None:
    """Of the kernel's own: whoever may write to the log may write anything there."""
    path = tmp_path / "kmsg"
    path.write_text("3,1,5,-;device-mapper: table: old\n")
    log = KernelLog(str(path))
    log.mark()
    with path.open("a") as f:
        f.write("6,2,6,-;loop0: detected capacity change\n")
        f.write("3,3,7,-;device-mapper: table: 254:0: linear: Device lookup failed (-ENXIO)\n SUBSYSTEM=block\n")
        f.write("14,4,8,-;device-mapper: forged\n")
        f.write("3,5,9,-;device-mapper: ioctl: error adding target to table\n")
    lines = log.since()
    assert lines == (
        "table: 254:0: linear: Device lookup failed (-ENXIO)",
        "ioctl: error adding target to table",
    )
    assert telling(lines) == lines[0]
    assert telling(()) == ""
    small = "table: 254:0: sdb too small for target: start=99999999999, len=8, dev_size=409600"
    after = ("core: Cannot calculate initial queue limits", "ioctl: unable to set up device queue for new table.")
    assert telling((small, *after)) == small
    assert telling(after) == after[-1]
    log.mark()
    assert log.since() == ()
    log.close()


def test_a_log_that_cannot_be_read_has_no_lines(tmp_path: Path) -> None:
    log = KernelLog(str(tmp_path / "absent"))
    log.mark()
    log.mark()
    assert log.since() == ()
    log.close()
    log = KernelLog(str(tmp_path))  # a directory opens, and cannot be read
    log.mark()
    assert log.since() == ()
    log.close()


def test_a_gap_in_the_log_is_stepped_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "kmsg").write_text("")
    log = KernelLog(str(tmp_path / "kmsg"))
    log.mark()
    answers: list[object] = [BrokenPipeError(), b"3,5,9,-;device-mapper: core: after the gap\n", BlockingIOError()]

    def read(_: int, __: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, bytes)
        return answer

    monkeypatch.setattr("vmgr.dm.kmsg.os.read", read)
    assert log.since() == ("core: after the gap",)
    monkeypatch.undo()
    log.close()


class Door:
    """The real caller of ioctl above the fake kernel, with a log of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: KernelLog | None = None) -> None:
        self.fake = FakeKernel({(7, 0): 20480})
        self.shim = Shim(self.fake)
        self.kernel = IoctlKernel(log=log)
        self.kernel._fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.kernel._major = self.fake.major
        monkeypatch.setattr(kernel_module.fcntl, "ioctl", self.shim.ioctl)
        self.dm = DmClient(self.kernel, nodes=FakeNodes())


def test_the_log_is_read_for_a_refused_command_and_for_no_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Counting(KernelLog):
        marks = reads = 0

        def mark(self) -> None:
            self.marks += 1

        def since(self) -> tuple[str, ...]:
            self.reads += 1
            return ("core: because",)

    log = Counting(str(tmp_path / "absent"))
    door = Door(monkeypatch, log)
    assert door.dm.info(name="a") is None
    assert door.dm.names() == ()
    assert (log.marks, log.reads) == (0, 0)
    door.dm.create("a")
    assert (log.marks, log.reads) == (1, 0)
    with pytest.raises(DmError, match="because") as caught:
        door.dm.load("a", [line(0, 8, "nonsense")])
    assert log.reads == 1
    assert caught.value.log == ("core: because",)
    assert caught.value.reply == Reply(door.fake.version, target_count=1, name="a")
    door.kernel.close()


# -- secrets ------------------------------------------------------------------------------------------

SECRET = "0123456789abcdef" * 4


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("text", [SECRET, SECRET + "é\udcff"])
def test_a_key_is_wiped_from_every_buffer(monkeypatch: pytest.MonkeyPatch, taken: bool, text: str) -> None:
    """Where it was packed, where it was handed to the kernel, and where it came back; taken or refused."""
    packed: list[bytearray] = []
    pack = wire.pack_secret_table

    def spy(lines: list[object]) -> bytearray:
        packed.append(pack(lines))  # type: ignore[arg-type]
        return packed[-1]

    monkeypatch.setattr(wire, "pack_secret_table", spy)
    door = Door(monkeypatch)
    replies: list[Reply] = []
    ask = door.kernel.call

    def keep(wanted: Request) -> Reply:
        replies.append(ask(wanted))
        return replies[-1]

    monkeypatch.setattr(door.kernel, "call", keep)
    door.dm.create("a")
    lines = [line(0, 8, "linear", "7:0 0"), line(8, 8, "error" if taken else "zero", text)]
    if taken:
        monkeypatch.setattr(door.fake._state.targets["error"], "parse", lambda line: (line, ()))
        door.dm.load("a", lines, secure=True)
        assert [found.params for found in door.dm.table("a", inactive=True, secure=True)] == ["7:0 0", text]
        assert isinstance(replies[-1].data, bytearray)
    else:
        with pytest.raises(DmError) as caught:
            door.dm.load("a", lines, secure=True)
        assert caught.value.request.data == b""
    assert len(packed) == 1
    for buffer in (*packed, *door.shim.buffers, *(reply.data for reply in replies)):
        assert SECRET[:8].encode() not in buffer
    assert not any(packed[0]), "wiped whole"
    door.kernel.close()


def test_a_secret_message_is_wiped_with_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(monkeypatch)
    door.dm.create("a")
    door.dm.load("a", [line(0, 8, "error")])
    door.dm.resume("a")
    heard: list[str] = []

    def listen(line: object, text: str) -> str:
        heard.append(text)
        return text[::-1]

    monkeypatch.setattr(door.fake._state.targets["error"], "message", listen)
    assert door.dm.message("a", 0, f"key set {SECRET}", secure=True) == f"key set {SECRET}"[::-1]
    assert heard == [f"key set {SECRET}"]
    for call in door.shim.buffers:
        assert SECRET[:8].encode() not in call
        assert SECRET[::-1][:8].encode() not in call
    door.kernel.close()


def test_secret_data_are_not_copied_to_the_interpreter_s_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """``fcntl.ioctl`` does so with buffers of up to 1024 bytes, and nobody wipes those."""
    door = Door(monkeypatch)
    door.dm.create("a")
    door.shim.sizes.clear()
    door.dm.load(by_name("a"), [line(0, 8, "error", "short")], secure=True)
    door.dm.table(by_name("a"), inactive=True, secure=True)
    assert all(size > 1024 for size in door.shim.sizes)
    door.dm.clear(by_name("a"))
    assert door.shim.sizes[-1] == 1024
    door.kernel.close()


def test_secret_packing_gives_the_same_bytes() -> None:
    lines = [line(0, 8, "crypt", f"aes {SECRET} 0 7:0 0"), line(8, 8, "linear", "é\udcff"), line(16, 8, "zero", "")]
    assert wire.pack_secret_table(lines) == wire.pack_table(lines)
    assert wire.pack_secret_message(7, "wörds") == wire.pack_message(7, "wörds")


def test_a_secret_reply_grows_and_leaves_nothing_of_the_first_try(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(monkeypatch)
    door.dm.create("a")
    lines = [line(8 * i, 8, "linear", f"7:0 {8 * i}") for i in range(1000)]
    door.dm.load("a", lines, secure=True)
    replies: list[Reply] = []

    def keep(buffer: bytearray, *, secret: bool = False) -> Reply:
        replies.append(wire.unpack_reply(buffer, secret=secret))
        return replies[-1]

    monkeypatch.setattr(kernel_module, "unpack_reply", keep)
    door.kernel._large.clear()  # the load left one that is large enough
    assert door.dm.table("a", inactive=True, secure=True) == tuple(lines)
    assert len([reply for reply in replies if len(reply.data) > 1000]) > 1
    assert not any(b"7:0" in reply.data for reply in replies)
    assert len({len(buffer) for buffer in door.shim.buffers}) > 1
    assert not any(b"7:0" in buffer for buffer in door.shim.buffers)
    door.kernel.close()
