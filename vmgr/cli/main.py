"""The console script: finds the command, runs it, and turns every failure into one message and an exit status.

``vmgr lvs``, ``lvm lvs`` and a link named ``lvs`` all run the same. Exit statuses are LVM2's: 0, 2 for no such
command, 3 for a bad command line, 5 for a failure. A link named ``dmsetup`` or ``dmstats`` behaves as that does.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from vmgr.cli.registry import COMMANDS, LVM2_NAMES, LVM2_ONLY, MOUNTED
from vmgr.core.errors import (
    EXIT_FAILED,
    EXIT_OK,
    InternalError,
    Interrupted,
    NoSuchCommand,
    OutputError,
    PluginError,
    UsageError,
    VmgrError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

    from vmgr.cli.declare import Command, Option
    from vmgr.cli.terminal import Terminal
    from vmgr.core.targets import Targets
    from vmgr.system.config import Config

EXIT_PIPE = 141
"""What a shell shows for a program that ended because its reader went away (128 + SIGPIPE)."""

EXIT_INTERRUPTED = 130
"""What a shell shows for a program that Ctrl-C ended (128 + SIGINT)."""

DMSETUP_LINKS = {"dmsetup": "", "dmstats": "stats"}
"""Links that are called as LVM2's programs for the device mapper, and the words that go without saying there."""

HELP_WORDS = ("help", "-h", "--help", "-?", "--longhelp")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, program name first; the exit status.

    Without ``argv`` it is the process's own, and the process ends with it.
    """
    if argv is None:
        from vmgr.cli.searchpath import forget_callers_places

        forget_callers_places()
        closed = _fill_standard_files()
        gc.disable()  # a report ends before collecting would pay; what may run longer enables it again
        # What a change holds lives as long as it does. To look at all of it again and again is work that grows
        # faster than the volumes; what is young is looked at as often as ever. In this process only: in a program
        # that calls this many times garbage would pile up.
        gc.set_threshold(700, 10, 1000)
        status = EXIT_INTERRUPTED
        try:
            _hear_interrupts()
            status = _run(sys.argv, closed=closed)
        except KeyboardInterrupt:
            pass  # a second one, while the first was being told
        _end(status)
    return _run(list(argv))


def _hear_interrupts() -> None:
    """From now on Ctrl-C raises an exception, and the changes so far are reported; see :mod:`vmgr.__main__`."""
    from _signal import (  # type: ignore[import-not-found]
        SIG_DFL,
        SIGINT,
        default_int_handler,
        getsignal,
        signal,
    )

    if getsignal(SIGINT) == SIG_DFL:
        signal(SIGINT, default_int_handler)


def _run(words: list[str], *, closed: bool = False) -> int:
    status = _guarded(words, closed)
    if status not in (EXIT_OK, EXIT_INTERRUPTED, EXIT_PIPE) and _program(words) in DMSETUP_LINKS:
        return 1  # dmsetup knows no other
    return status


def _program(words: list[str]) -> str:
    return os.path.basename(words[0]) if words else "vmgr"


def _guarded(words: list[str], closed: bool) -> int:
    """Run a command line. Every failure has a message and a status. ``closed``: there is no standard output."""
    from vmgr.cli.terminal import Terminal

    terminal = Terminal()
    terminal.closed = closed
    try:
        status = _told(words, terminal)
        terminal.end_document()
    except BrokenPipeError:
        _discard()
        return EXIT_PIPE
    except OSError as error:
        terminal.error(_output_error(error))
        _discard()
        return EXIT_FAILED
    return _finish(status, terminal)


def _told(words: list[str], terminal: Terminal) -> int:
    """Run a command line; what it fails for is said. Raises only what came of writing to standard output."""
    try:
        return _dispatch(words, terminal)
    except VmgrError as error:
        terminal.error(error)
        return error.exit_code
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        if "dm" not in words[1:2]:
            _begin_document("", words[1:], terminal)  # it may have come first
        terminal.error(Interrupted("interrupted"))
        return EXIT_FAILED
    except OSError as error:
        if _of_output(error):
            raise
        return _internal_error(terminal)
    except Exception:
        return _internal_error(terminal)


def _end(status: int) -> NoReturn:
    """End the process without taking the interpreter apart, which takes as long as many a command.

    Locks and devices are let go by whoever took them; what is left is memory, which the kernel frees at once.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            status = status or EXIT_FAILED
    os._exit(status)


def _fill_standard_files() -> bool:
    """Open /dev/null where a standard file is missing: the next file opened would take its place.

    In the place of standard output it is for reading only, so that data that cannot be delivered are a failure
    there as they are where the disk is full. True if standard output was missing.
    """
    closed = False
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            closed = closed or fd == 1
            os.open(os.devnull, os.O_RDONLY if fd == 1 else os.O_RDWR)  # the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False, encoding="utf-8")
    return closed


def _dispatch(words: list[str], terminal: Terminal) -> int:
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="surrogateescape")  # device names need not be text
    program, rest = _program(words), words[1:]
    terminal.as_lvm2 = program == "lvm" or program in LVM2_NAMES
    if program in COMMANDS:
        if "_VMGR_COMPLETE" in os.environ:
            return _with_click(program, rest)
        return run_command(program, rest, terminal)
    if not {*rest[:1]} & {*COMMANDS, *MOUNTED} and program not in DMSETUP_LINKS:
        _begin_document("", rest, terminal)
    if program in LVM2_ONLY:
        return _no_such_command(program)
    if not _is_vmgr(program) and not {*rest[:1]} & {*COMMANDS, *MOUNTED, *HELP_WORDS, "--version"}:
        raise _no_such_link(program)
    if program in DMSETUP_LINKS:
        return _dm(rest, terminal, as_dmsetup=True, group=DMSETUP_LINKS[program])
    if rest and "_VMGR_COMPLETE" not in os.environ:
        if rest[0] == "dm":
            return _dm(rest[1:], terminal)
        if rest[0] in HELP_WORDS and rest[1:2] == ["dm"]:
            return _dm(["help", *rest[2:]], terminal)
    if rest[:1] == ["--version"] and "_VMGR_COMPLETE" not in os.environ:
        from vmgr.cli.version import show

        return show(terminal)
    if "_VMGR_COMPLETE" in os.environ or not rest or rest[0] in HELP_WORDS:
        if "_VMGR_COMPLETE" not in os.environ and rest[:1] == ["help"] and rest[1:]:
            if rest[1] in COMMANDS:
                return run_command(rest[1], ["--help", *rest[2:]], terminal)
            if rest[1] not in (*MOUNTED, *HELP_WORDS):
                _no_such_command(rest[1])
        status = _with_click(program, rest)
        terminal.document = None  # help is for people, and plain text, as LVM2's
        return status
    name = rest[0] if rest else ""
    if name in COMMANDS:
        return run_command(name, rest[1:], terminal)
    if name in MOUNTED:
        try:
            return _with_click(program, rest)
        except UsageError:
            # Only now: what a mounted command prints is its own.
            _begin_document("", rest, terminal)
            raise
    return _no_such_command(name)


def _dm(words: list[str], terminal: Terminal, *, as_dmsetup: bool = False, group: str = "") -> int:
    from vmgr.cli.dm.command import run

    if not as_dmsetup:  # for a failure before there is anything else to print
        if "--json" in words:
            terminal.begin_document()
        _begin_document("", words, terminal)
    status = run(words, terminal, as_dmsetup=as_dmsetup, group=group)
    if terminal.document is not None and not terminal.document.errors:
        terminal.document = None
    return status


def run_command(name: str, words: Sequence[str], terminal: Terminal) -> int:
    """Run one command with the words after its name; the exit status. Raises :class:`VmgrError`."""
    from vmgr.cli.invocation import Invocation
    from vmgr.cli.options_common import COMMON, run_options, unrecognized
    from vmgr.cli.parse import check, parse
    from vmgr.cli.registry import load

    _begin_document(name, words, terminal)
    command = load(name)
    targets: Targets | None = None
    added: tuple[Option, ...] = ()
    if command.from_plugins:
        try:
            targets, added = with_plugins(command, terminal.warn)
        except VmgrError:
            if not set(words) & {"-h", "--help", "--longhelp", "--version"}:
                raise  # help does without a plugin that cannot be loaded
    parsed = parse(command, (*command.options, *added, *COMMON), words)
    values = parsed.values
    if "profile" in values and command.has("metadataprofile"):
        values["metadataprofile"] = values.pop("profile")  # elsewhere it means the command profile
    if "help" in values or "longhelp" in values:
        return _help(command, added, terminal, long="longhelp" in values)
    if "version" in values:
        from vmgr.cli.version import show

        return show(terminal, driver=bool(values.get("driverloaded", True)))
    _set_up(terminal, values)
    check(command, parsed)
    for message in unrecognized(values):
        terminal.warn(f"WARNING: {message}")
    invocation = Invocation(command, tuple(parsed.arguments), values, terminal, plugin=added)
    if command.run_alone is not None:
        return command.run_alone(invocation)
    assert command.run is not None
    options = run_options(values, command=" ".join((name, *words)), environ=os.environ)
    from vmgr.app import open_application

    if command.changes:
        gc.enable()
    with open_application(options, terminal, targets) as app:
        try:
            config = app.config
            _settle(terminal, config, name)
            if config.flag("global/test"):
                values["test"] = True
            if command.changes:
                if "test" in values:
                    terminal.warn("TEST MODE: nothing is changed")
                from vmgr.system.without_effect import told_by

                for message in told_by(config, name, frozenset(values)):
                    terminal.warn(message)
            return command.run(app, invocation)
        except (KeyboardInterrupt, Interrupted) as error:
            if not command.changes:
                raise
            from vmgr.cli.output import interruption

            raise interruption(app, invocation, error) from None
        finally:
            if terminal.document is not None:
                terminal.document.changed = app.changed()


def _begin_document(name: str, words: Sequence[str], terminal: Terminal) -> None:
    """Begin a JSON document if the words ask for one, before anything can be wrong with them."""
    if any("json" in word for word in words):
        from vmgr.cli.document import asked_for

        if asked_for(name, words):
            terminal.begin_document()


def _set_up(terminal: Terminal, values: Mapping[str, object]) -> None:
    def count(name: str) -> int:
        value = values.get(name, 0)
        assert isinstance(value, int)
        return value

    terminal.configure(
        verbose=count("verbose"), debug=count("debug"), quiet=count("quiet"), yes=bool(values.get("yes"))
    )


def _settle(terminal: Terminal, config: Config, name: str) -> None:
    prefix = config.text("log/prefix")
    terminal.settle(
        verbose=config.number("log/verbose"),
        silent=config.flag("log/silent"),
        prefix=f"{name}{prefix}" if config.flag("log/command_names") else prefix,
    )


def with_plugins(command: Command, warn: Callable[[str], None]) -> tuple[Targets, tuple[Option, ...]]:
    """All plugins, and the options that they add to ``command``. ``warn`` is told of plugins that are left out."""
    from vmgr.cli.declare import plugin_options
    from vmgr.registry import load_targets

    targets = load_targets(warn)
    while True:
        try:
            return targets, plugin_options(command, targets.infos())
        except PluginError as error:
            targets.leave_out(error)


# -- what needs click -----------------------------------------------------------------------------


def _with_click(program: str, words: list[str]) -> int:
    from vmgr.cli.group import run

    return run(program, words)


def _help(command: Command, added: tuple[Option, ...], terminal: Terminal, *, long: bool) -> int:
    from vmgr.cli.group import help_text

    text = help_text(command, added, long=long)
    terminal.document = None  # help is for people, and plain text, as LVM2's
    terminal.data(text)
    return EXIT_OK


# -- failures -------------------------------------------------------------------------------------


def _is_vmgr(program: str) -> bool:
    """Whether a program's name is one by which vmgr is called itself; a link of another name means a command."""
    return program in ("lvm", *DMSETUP_LINKS) or program.startswith(("vmgr", "__main__", "-"))


def _no_such_link(program: str) -> NoSuchCommand:
    from difflib import get_close_matches

    close = get_close_matches(program, COMMANDS, n=3)
    return NoSuchCommand(
        f"vmgr is called by a link named {program!r}, but has no such command",
        hint=f"did you mean {' or '.join(close)}?" if close else "name the link as one of these",
        details=(
            "a link may be named vmgr, lvm, dmsetup or dmstats, or as a command:",
            *(" ".join(sorted(COMMANDS)[at : at + 8]) for at in range(0, len(COMMANDS), 8)),
        ),
    )


def _no_such_command(name: str) -> NoReturn:
    if name.startswith("-"):
        raise UsageError("give options after a command", hint="vmgr COMMAND [OPTION]...")
    if name in LVM2_ONLY:
        raise NoSuchCommand(f"vmgr has no command {name}", hint=f"use LVM2's own {name}")
    from difflib import get_close_matches

    close = get_close_matches(name, [*COMMANDS, *MOUNTED], n=3)
    raise NoSuchCommand(
        f"no such command: {name}",
        hint=f"did you mean {' or '.join(close)}?" if close else "`vmgr help` lists the commands",
    )


def _finish(status: int, terminal: Terminal) -> int:
    """Flush standard output: what could not be written is a failure, unless the reader has gone."""
    from vmgr.cli.terminal import flush_output

    error = flush_output()
    if error is None:
        return status
    if isinstance(error, BrokenPipeError):
        return status or EXIT_PIPE
    terminal.error(_output_error(error))
    return EXIT_FAILED


def _discard() -> None:
    from vmgr.cli.terminal import discard_output

    discard_output()


def _of_output(error: OSError) -> bool:
    """Whether an error without a file name is one of writing to standard output."""
    from errno import EBADF, EDQUOT, EFBIG, EIO, ENOSPC

    return error.filename is None and error.errno in (EBADF, EDQUOT, EFBIG, EIO, ENOSPC)


def _output_error(error: OSError) -> VmgrError:
    from errno import EBADF

    return OutputError(
        f"cannot write to standard output: {'it is closed' if error.errno == EBADF else error.strerror}",
        hint="what the command did is done; only its output is incomplete",
    )


def _internal_error(terminal: Terminal) -> int:
    """A bug: one line, and the traceback where it can be found."""
    import traceback

    text = traceback.format_exc()
    kind, value, _ = sys.exc_info()
    summary = f"internal error: {kind.__name__ if kind else 'unknown'}: {value}".splitlines()[0]
    if os.environ.get("VMGR_DEBUG") or terminal.level >= 3:
        terminal.error(InternalError(summary, details=tuple(text.splitlines())))
        return EXIT_FAILED
    hint = "set VMGR_DEBUG=1 to see the traceback; this is a bug in vmgr, please report it"
    try:
        import tempfile

        with tempfile.NamedTemporaryFile(
            "w", prefix="vmgr-traceback-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            file.write(text)
        hint = f"the traceback is in {file.name}; this is a bug in vmgr, please report it"
    except OSError:
        pass
    terminal.error(InternalError(summary, hint=hint))
    return EXIT_FAILED
