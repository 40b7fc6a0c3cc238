"""Subcommands that change devices that are there: suspend, resume, remove, rename and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.facts import header, look, show_change
from vmgr.cli.dm.options import ADDNODE, FORCE, INACTIVE, NOFLUSH, NOLOCKFS, READAHEAD, READONLY, SELECT, WHICH
from vmgr.cli.dm.subjects import chosen, drop_node, each, read_ahead
from vmgr.core.errors import EXIT_FAILED, EXIT_OK, InUse, KernelError, NotFound, UsageError, VmgrError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.invocation import Invocation
    from vmgr.dm.address import DevId

RETRY = 5.0
"""Seconds for which ``--retry`` tries: libdevmapper's 25 times 200 milliseconds."""

# -- input and output -------------------------------------------------------------------------------


def suspend(invocation: Invocation) -> int:
    """Hold back input and output."""
    flush, freeze = not invocation.flag("noflush"), not invocation.flag("nolockfs")
    with Context(invocation) as context:
        devs = chosen(context)
        client = context.client()
        done: list[str] = []

        def change(dev: DevId) -> None:
            try:
                client.suspend(dev, flush=flush, freeze=freeze)
            except VmgrError as error:
                _say_done(error, done)
                raise
            except KeyboardInterrupt:
                if not done:
                    raise
                interrupted = VmgrError("interrupted")
                _say_done(interrupted, done)
                raise interrupted from None
            done.append(context.shown(str(dev)))

        _load_before(context)
        return each(context, devs, change)


def _say_done(error: VmgrError, done: list[str]) -> None:
    """Add to an error which devices are suspended now."""
    if done:
        names = " ".join(done)
        error.details = (*error.details, f"suspended: {names}")
        error.hint = f"`vmgr dm resume {names}` lets them go on"


def _load_before(context: Context) -> None:
    """Load what may be wanted after the first device is suspended: it may be the one that holds this program."""
    from vmgr.dm.critical import preload

    preload()
    if context.json or context.invocation.times("verbose"):
        import json  # noqa: F401

        import vmgr.cli.dm.facts  # noqa: F401


def resume(invocation: Invocation) -> int:
    """Make waiting tables live, and let input and output go on."""
    flush, freeze = not invocation.flag("noflush"), not invocation.flag("nolockfs")
    with Context(invocation) as context:
        sectors, at_least = read_ahead(context)
        devs = chosen(context)
        client = context.client()

        def change(dev: DevId) -> None:
            try:
                client.resume(dev, flush=flush, freeze=freeze, read_ahead=sectors, read_ahead_at_least=at_least)
            except VmgrError as error:
                _say_suspended(context, dev, error)
                raise

        return each(context, devs, change)


def _say_suspended(context: Context, dev: DevId, error: VmgrError) -> None:
    """Add to an error that the device is still suspended: the kernel has dropped the table that did not fit."""
    try:
        found = look(context, dev)
    except VmgrError:
        return
    if found.suspended and found.has_live:
        name = context.shown(found.name)
        error.details = (*error.details, f"{name} is still suspended, with its old table")
        error.hint = f"`vmgr dm resume {name}` lets it go on with that"


def clear(invocation: Invocation) -> int:
    """Drop the tables that wait."""
    with Context(invocation) as context:
        devs = chosen(context)
        return each(context, devs, context.client().clear)


def wipe_table(invocation: Invocation) -> int:
    """Put a table in place of the live one under which everything fails."""
    with Context(invocation) as context:
        devs = chosen(context)
        return each(context, devs, lambda dev: error_out(context, dev), show=False)


def error_out(context: Context, dev: DevId) -> None:
    """Replace the live table by one of the same size under which every read and write fails.

    With ``--force`` nothing that is queued is waited for. Source: ``_error_device`` in LVM2's ``dmsetup.c``.
    """
    from vmgr.core.table import KernelLine
    from vmgr.core.units import Sectors

    given = context.invocation.flag
    client = context.client()
    size = sum(int(line.length) for line in client.table(dev, inactive=given("inactive")))
    if not size:
        raise KernelError(
            f"{context.shown(str(dev))} has no table that could be replaced", hint="`vmgr dm remove` removes it"
        )
    force = given("force")
    line = KernelLine(Sectors(0), Sectors(size), "error", "")
    client.load(dev, (line,), read_only=given("readonly"))
    try:
        client.resume(dev, flush=not (force or given("noflush")), freeze=not (force or given("nolockfs")))
    except BaseException:
        client.clear(dev)
        raise


# -- removal ----------------------------------------------------------------------------------------


def remove(invocation: Invocation) -> int:
    """Remove devices."""
    deferred, force = invocation.flag("deferred"), invocation.flag("force")
    retry = RETRY if invocation.flag("retry") else 0.0
    with Context(invocation) as context:
        devs = chosen(context)
        client = context.client()
        if force and context.cookie():
            context.warn("a udev cookie and --force do not go together: each device has several events")

        def change(dev: DevId) -> None:
            wiped = force and _wiped(context, dev)
            found = client.info(name=dev.name, uuid=dev.uuid, major_minor=dev.numbers) if deferred else None
            try:
                there = not client.remove(dev, deferred=deferred, retry=retry)
            except InUse as error:
                if wiped:
                    lost = f"{context.shown(str(dev))} has lost its table: every read and write of it fails now"
                    error.details = (*error.details, lost)
                raise
            if there:
                if found is not None:
                    drop_node(context, found.name)
                if not context.as_dmsetup:
                    context.terminal.note(f"{context.shown(str(dev))} is in use; it goes once it is closed")

        return each(context, devs, change, gone=True)


def _wiped(context: Context, dev: DevId) -> bool:
    """Replace the table before a removal; whether that was done."""
    try:
        error_out(context, dev)
    except NotFound:
        return False  # the removal says so
    except VmgrError as error:
        _unwiped(context, error)
        return False
    return True


def _unwiped(context: Context, error: VmgrError) -> None:
    """Tell of a table that could not be replaced: the removal goes on, and may succeed all the same."""
    if context.as_dmsetup:
        context.terminal.say(error.message)
    else:
        context.terminal.detail(error.message)


def remove_all(invocation: Invocation) -> int:
    """Remove every device that is not in use, including those of other programs."""
    deferred, force = invocation.flag("deferred"), invocation.flag("force")
    with Context(invocation) as context:
        client = context.client()
        before = [entry.name for entry in client.names()]
        if before and not context.as_dmsetup and not _agreed(context, len(before), force):
            context.terminal.note("nothing was removed")
            return EXIT_FAILED
        left = client.remove_all(deferred=deferred)
        if force and left:
            from vmgr.dm.address import by_name

            for name in left:
                try:
                    error_out(context, by_name(name))
                except VmgrError as error:
                    _unwiped(context, error)
            left = client.remove_all(deferred=deferred)
        if context.json:
            gone = [context.shown(name) for name in before if name not in left]
            context.emit_json({"removed": gone, "left": [context.shown(name) for name in left]})
        if not left:
            return EXIT_OK
        if context.as_dmsetup:  # whose status does not tell
            if force:
                context.terminal.say(f"Unable to remove {len(left)} device(s).")
            return EXIT_OK
        names = ", ".join(context.shown(name) for name in left)
        if deferred:
            context.terminal.note(f"in use, and gone once they are closed: {names}")
            return EXIT_OK
        raise KernelError(
            f"not removed, as they are in use: {names}", hint="`vmgr dm ls --tree` shows what lies on what"
        )


def _agreed(context: Context, count: int, force: bool) -> bool:
    """Whether the user wants all devices gone: LVM's and those of other programs, too."""
    what = "the 1 device-mapper device" if count == 1 else f"all {count} device-mapper devices"
    question = f"Remove {what}, of LVM and of every other program, unless in use?"
    if force:
        question = f"Remove {what}, and let every access to those in use fail?"
    return context.terminal.ask(question)


# -- targets ----------------------------------------------------------------------------------------


def message(invocation: Invocation) -> int:
    """Send a message to a target, and print its answer."""
    with Context(invocation) as context:
        words = list(invocation.arguments)
        dev = context.device(None if context.named_otherwise() else words.pop(0) if words else None)
        usage = f"usage: vmgr dm message {invocation.command.usages[0]}"
        if not words:
            raise UsageError("message needs the sector of a target", hint=usage)
        sector = words.pop(0)
        if not (sector.isascii() and sector.isdigit()) or int(sector) >= 1 << 64:
            raise UsageError(f"{sector!r} is not a sector", hint=usage)
        if not words:
            raise UsageError("message needs something to say", hint=usage)
        secure = words == ["-"] and not context.as_dmsetup
        if secure:
            from vmgr.cli.dm.creating import read_input

            text = read_input().rstrip("\n")
            if "\n" in text or "\0" in text or not text:
                raise UsageError("a message is one line of text")
        else:
            text = " ".join(words)
        answer = context.client().message(dev, int(sector), text, secure=secure)
        if context.json:
            context.emit_json({"device": header(context, dev), "answer": answer})
        elif answer:
            context.terminal.data(answer if answer.endswith("\n") else answer + "\n")
    return EXIT_OK


def setgeometry(invocation: Invocation) -> int:
    """Set what programs are told that ask for a disk's geometry."""
    with Context(invocation) as context:
        words = list(invocation.arguments)
        dev = context.device(None if context.named_otherwise() else words.pop(0) if words else None)
        usage = f"usage: vmgr dm setgeometry {invocation.command.usages[0]}"
        if len(words) != 4:
            raise UsageError("setgeometry needs cylinders, heads, sectors and a start", hint=usage)
        for word, limit in zip(words, (1 << 16, 1 << 8, 1 << 8, 1 << 64), strict=True):
            if not (word.isascii() and word.isdigit()) or int(word) >= limit:
                raise UsageError(f"{word!r} is not a number below {limit}", hint=usage)
        cylinders, heads, sectors, start = map(int, words)
        context.client().set_geometry(dev, cylinders, heads, sectors, start)
        if context.json:
            show_change(context, dev)
    return EXIT_OK


# -- declarations -----------------------------------------------------------------------------------

_DEVICES = (Argument("DEVICE", "a device", needed=False, many=True),)
_DEVICE = Argument("DEVICE", "the device, where it is named by its name", needed=False)
_DEFERRED = Option("deferred", "flag", "Let a device that is in use go as soon as it is closed.")
_MANY = "DEVICE...|-u UUID|-j MAJOR -m MINOR|-S SELECTION"


def _command(
    name: str,
    summary: str,
    run: Callable[[Invocation], int],
    usages: tuple[str, ...],
    *,
    arguments: tuple[Argument, ...] = (),
    options: tuple[Option, ...] = (),
    exclusive: tuple[tuple[str, ...], ...] = (),
) -> Command:
    return Command(
        name,
        summary,
        usages=usages,
        run_alone=run,
        arguments=arguments,
        options=options,
        exclusive=exclusive,
        changes=True,
    )


DECLARED = {
    "clear": _command(
        "clear", "Drop the tables that wait for a resume.", clear, (_MANY,), arguments=_DEVICES,
        options=(*WHICH, SELECT),
    ),
    "message": _command(
        "message", "Send a message to a device's target.", message,
        ("DEVICE|-u UUID|-j MAJOR -m MINOR SECTOR WORD...", "DEVICE SECTOR -"),
        arguments=(
            _DEVICE,
            Argument("SECTOR", "where the target begins; 0 for the first, and for the device itself", needed=False),
            Argument(
                "WORD", "the message; - alone reads it from standard input, for keys", needed=False, many=True
            ),
        ),
        options=WHICH,
    ),
    "remove": _command(
        "remove", "Remove devices.", remove, (f"[--force] [--retry] [--deferred] {_MANY}",), arguments=_DEVICES,
        options=(
            _DEFERRED,
            FORCE.with_help("First replace the table by one under which every read and write fails."),
            INACTIVE, READONLY, SELECT, *WHICH,
            Option("retry", "flag", "Try again for some seconds while the device is in use."),
        ),
    ),
    "remove_all": _command(
        "remove_all", "Remove every device that is not in use, including those of other programs.", remove_all,
        ("[--force] [--deferred] [--yes]",),
        options=(
            _DEFERRED,
            FORCE.with_help("Let every read and write fail of those that are in use, and try again."),
            INACTIVE, READONLY,
        ),
    ),
    "resume": _command(
        "resume", "Make waiting tables live, and let input and output go on.", resume,
        (f"[--noflush] [--nolockfs] [--readahead SECTORS] {_MANY}",), arguments=_DEVICES,
        options=(*ADDNODE, NOFLUSH, NOLOCKFS, READAHEAD, SELECT, *WHICH),
        exclusive=(("addnodeoncreate", "addnodeonresume"),),
    ),
    "setgeometry": _command(
        "setgeometry", "Set the geometry that programs are told of a device.", setgeometry,
        ("DEVICE|-u UUID|-j MAJOR -m MINOR CYLINDERS HEADS SECTORS START",),
        arguments=(
            _DEVICE,
            Argument("CYLINDERS", "cylinders, below 65536", needed=False),
            Argument("HEADS", "heads, below 256", needed=False),
            Argument("SECTORS", "sectors a track, below 256", needed=False),
            Argument("START", "where the device starts, in sectors", needed=False),
        ),
        options=WHICH,
    ),
    "suspend": _command(
        "suspend", "Hold back input and output of devices.", suspend, (f"[--noflush] [--nolockfs] {_MANY}",),
        arguments=_DEVICES, options=(NOFLUSH, NOLOCKFS, SELECT, *WHICH),
    ),
    "wipe_table": _command(
        "wipe_table", "Let every read and write of devices fail, in place of their tables.", wipe_table,
        (f"[--force] [--noflush] [--nolockfs] {_MANY}",), arguments=_DEVICES,
        options=(
            FORCE.with_help("Do not wait for input and output: --noflush and --nolockfs together."),
            INACTIVE, NOFLUSH, NOLOCKFS, READONLY, SELECT, *WHICH,
        ),
    ),
}  # fmt: skip
