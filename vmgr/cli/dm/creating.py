"""``create`` and ``load``: tables from text to the kernel.

A table is the value of ``--table``, a file, or standard input. All of it is read and parsed before the kernel is
asked for anything, so a mistake in it changes nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.context import Context, DmInvocation
from vmgr.cli.dm.facts import header, look, show_change
from vmgr.cli.dm.options import ADDNODE, MAJOR, MINOR, READAHEAD, READONLY, UUID, WHICH
from vmgr.cli.dm.subjects import add_node, read_ahead
from vmgr.core.errors import UsageError, VmgrError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import KernelLine, LiveDevice

MOST_TEXT = 64 << 20
"""Bytes of a text that are read: a table of a million lines, and memory for it."""

# -- tables -----------------------------------------------------------------------------------------


def table_of(invocation: Invocation, path: str | None) -> tuple[KernelLine, ...]:
    """The table that was given. Raises :class:`UsageError` when it cannot be read."""
    from vmgr.dm.tables import parse_table

    text = invocation.text("table")
    if text is not None:
        if path is not None:
            raise UsageError("a table is given twice: with --table and in a file", hint="leave one of them out")
        return parse_table(text)
    if path is not None:
        return parse_table(read_file(path), source=path)
    return parse_table(read_input(), source="standard input")


def read_file(path: str) -> str:
    """A file's content; bytes that are no text are kept. Raises :class:`UsageError`."""
    try:
        with open(path, "rb") as file:
            return _read(file, path)
    except OSError as error:
        raise UsageError(f"cannot read the table {path}: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise UsageError(f"cannot read the table {path!r}: {error}") from None


def read_input() -> str:
    """All of standard input. Raises :class:`UsageError`."""
    if sys.stdin is None:
        raise UsageError("there is no standard input to read the table from", hint="give --table, or a file")
    if sys.stdin.isatty() and sys.stderr is not None:
        sys.stderr.write("Reading from standard input; end it with Ctrl-D.\n")
    buffer = getattr(sys.stdin, "buffer", None)
    try:
        return sys.stdin.read() if buffer is None else _read(buffer, "standard input")
    except OSError as error:
        raise UsageError(f"cannot read standard input: {error.strerror}") from None


def _read(file: BinaryIO, source: str) -> str:
    """All of a file that has an end; what never ends is refused. Raises :class:`UsageError`."""
    data = file.read(MOST_TEXT + 1)
    if len(data) > MOST_TEXT:
        raise UsageError(f"{source} has more than {MOST_TEXT >> 20} MiB: no table is so long", hint="give a table")
    return data.decode("utf-8", "surrogateescape")


def secret(lines: Sequence[KernelLine]) -> bool:
    """Whether a table holds a key, which is not to stay in buffers."""
    from vmgr.dm.tables import hide_keys

    return any(hide_keys(line) is not line for line in lines)


# -- create -----------------------------------------------------------------------------------------


class NewDevice:
    """What is to be created: names as the kernel shall have them, ``minor`` None for the kernel's choice."""

    __slots__ = ("lines", "minor", "name", "read_only", "uuid")

    def __init__(
        self, name: str, uuid: str, minor: int | None, read_only: bool, lines: Sequence[KernelLine]
    ) -> None:
        self.name = name
        self.uuid = uuid
        self.minor = minor
        self.read_only = read_only
        self.lines = lines


def create(invocation: Invocation) -> int:
    """Create a device, load its table and resume it; or all devices of a concise text."""
    with Context(invocation) as context:
        if invocation.flag("concise"):
            return _create_many(context, _concise(context))
        if not invocation.arguments:
            raise UsageError("create needs a name for the new device", hint=f"usage: vmgr dm create {USAGE}")
        name, *files = invocation.arguments
        lines: Sequence[KernelLine] = ()
        new_name = context.new_name(name)
        uuid = invocation.text("uuid")
        new_uuid = context.new_uuid(uuid) if uuid else ""
        if not invocation.flag("notable"):
            lines = table_of(invocation, files[0] if files else None)
        elif files and not context.as_dmsetup:
            raise UsageError("--notable and a table exclude each other", hint="leave one of them out")
        minor = invocation.number("minor")
        device = _create_one(context, NewDevice(new_name, new_uuid, minor, invocation.flag("readonly"), lines))
        show_change(context, device)
    return 0


def _concise(context: Context) -> list[NewDevice]:
    """The devices of a concise text, checked. Raises :class:`UsageError`."""
    from vmgr.dm.tables import parse_concise

    invocation = context.invocation
    given = [name for name in ("table", "minor", "uuid", "notable") if invocation.given(name)]
    if given:
        raise UsageError(
            f"--concise and --{given[0]} exclude each other", hint="the concise text says it for each device"
        )
    if len(invocation.arguments) > 1:
        raise UsageError("create --concise takes one text", hint="quote it, as it has blanks")
    text = invocation.arguments[0] if invocation.arguments else read_input()
    found = []
    for device in parse_concise(text):
        uuid = context.new_uuid(device.uuid) if device.uuid else ""
        read_only = device.read_only or invocation.flag("readonly")
        found.append(NewDevice(context.new_name(device.name), uuid, device.minor, read_only, device.lines))
    _refuse_twins(context, found)
    return found


def _refuse_twins(context: Context, devices: Sequence[NewDevice]) -> None:
    """Refuse a text in which two devices want the same: found out now, nothing is half done."""
    seen: set[tuple[str, object]] = set()
    for device in devices:
        for what, value in (("name", device.name), ("UUID", device.uuid), ("minor number", device.minor)):
            if value in ("", None):
                continue
            if (what, value) in seen:
                shown = context.shown(value) if isinstance(value, str) else value
                raise UsageError(f"two devices of the text have the {what} {shown}", hint="change one of them")
            seen.add((what, value))


def _create_many(context: Context, new: Sequence[NewDevice]) -> int:
    """Create devices in order. The first that fails ends it; those before it stay, and are named."""
    done: list[LiveDevice] = []
    try:
        for each in new:
            done.append(_create_one(context, each))
            if not context.json:
                show_change(context, done[-1])
    except BaseException as error:
        if done and isinstance(error, VmgrError):
            made = ", ".join(context.shown(device.name) for device in done)
            left = ", ".join(context.shown(each.name) for each in new[len(done) :])
            error.details = (*error.details, f"created, and left as they are: {made}", f"not created: {left}")
        raise
    finally:
        if context.json:
            context.emit_json({"devices": [header(context, device) for device in done]})
    return 0


def _create_one(context: Context, new: NewDevice) -> LiveDevice:
    """Create, load, resume. What fails after the creation takes the device away again.

    Source of the order: ``_create_and_load_v4`` in LVM2's ``libdm-iface.c``.
    """
    from vmgr.dm.address import by_name

    client = context.client()
    sectors, at_least = read_ahead(context)
    numbers = None
    if new.minor is not None:
        major = context.invocation.number("major") or 0
        numbers = 0 if context.as_dmsetup else major, new.minor  # dmsetup pays no regard to a wrong one
    dev = by_name(new.name)
    with client.transaction():
        device = client.create(new.name, new.uuid, numbers=numbers)
        if not new.lines:
            if context.invocation.flag("addnodeoncreate"):
                add_node(context, device)
            return device
        try:
            client.load(dev, new.lines, read_only=new.read_only, secure=secret(new.lines))
            device = client.resume(dev, read_ahead=sectors, read_ahead_at_least=at_least)
        except BaseException as error:
            try:
                client.remove(dev)
            except VmgrError as second:
                if not isinstance(error, VmgrError):
                    raise second from error
                error.details = (*error.details, f"the device could not be removed again: {second.message}")
            raise
    return device


# -- load -------------------------------------------------------------------------------------------


def load(invocation: Invocation) -> int:
    """Load a table beside the live one."""
    with Context(invocation) as context:
        if isinstance(invocation, DmInvocation) and "notable" in invocation.ignored:
            raise UsageError("--notable is for a device that is created")
        arguments = list(invocation.arguments)
        dev = context.device(None if context.named_otherwise() else arguments.pop(0) if arguments else None)
        if len(arguments) > 1:
            raise UsageError(
                f"load takes no argument {arguments[1]!r}", hint="with -u or -j -m, only a file may follow"
            )
        lines = table_of(invocation, arguments[0] if arguments else None)
        if not lines:
            raise UsageError("the table has no lines", hint="`vmgr dm clear` drops the table that waits")
        client = context.client()
        if not context.as_dmsetup:
            look(context, dev)  # the kernel has one errno for a device that is not there and for one of its table
        client.load(dev, lines, read_only=invocation.flag("readonly"), secure=secret(lines))
        show_change(context, dev)
    return 0


USAGE = "NAME [-u UUID] [-j MAJOR -m MINOR] [-r] [--notable|--table TABLE|FILE]"

TABLE = Option(
    "table", "text", "The table itself, its lines parted by newlines, in place of a file.", metavar="Table"
)


def _load_command(name: str) -> Command:
    return Command(
        name,
        "Load a table beside the live one; a resume makes it live.",
        usages=("DEVICE [--table TABLE|FILE] [-r]", "-u UUID|-j MAJOR -m MINOR [--table TABLE|FILE] [-r]"),
        run_alone=load,
        arguments=(
            Argument("DEVICE", "the device, where it is named by its name", needed=False),
            Argument("FILE", "a file that has the table; standard input without one", needed=False),
        ),
        options=(READONLY, TABLE, *WHICH),
        changes=True,
    )


DECLARED = {
    "create": Command(
        "create",
        "Create a device, load its table and make it live.",
        usages=(USAGE, "--concise [DEVICES]"),
        run_alone=create,
        arguments=(
            Argument("NAME", "the new device's name, or with --concise the devices", needed=False),
            Argument("FILE", "a file that has the table; standard input without one", needed=False),
        ),
        options=(
            *ADDNODE,
            Option("concise", "flag", "Create all devices of a concise text, an argument or standard input."),
            Option("gid", "number", "The group of a node that vmgr makes.", short="G", metavar="Number"),
            MAJOR.with_help("With --minor: the new device's major number. (The kernel has one for all devices.)"),
            MINOR.with_help("With --major: the new device's minor number, for good."),
            Option("mode", "text", "The mode of a node that vmgr makes, in octal.", short="M", metavar="Mode"),
            Option("notable", "flag", "Create the device without a table.", short="n"),
            READAHEAD,
            READONLY,
            TABLE,
            Option("uid", "number", "The owner of a node that vmgr makes.", short="U", metavar="Number"),
            UUID.with_help("The new device's UUID."),
        ),
        exclusive=(("addnodeoncreate", "addnodeonresume"), ("table", "notable")),
        changes=True,
    ),
    "load": _load_command("load"),
    "reload": _load_command("reload"),
}
