"""Subcommands about udev's cookies: list, make, complete, release, and what the flags in one mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.context import Context, cookie_value
from vmgr.core.errors import EXIT_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation

HEADING = "Cookie       Semid      Value      Last semop time           Last change time\n"


def udevcookies(invocation: Invocation) -> int:
    """List the cookies that there are."""
    from vmgr.dm.cookies import cookies

    with Context(invocation) as context:
        found = cookies()
        if context.json:
            context.emit_json(
                {
                    "cookies": [
                        {
                            "cookie": f"{cookie.value:#x}",
                            "semid": cookie.semid,
                            "value": cookie.left,
                            "last_semop_time": cookie.operated,
                            "last_change_time": cookie.changed,
                            "uid": cookie.uid,
                        }
                        for cookie in found
                    ]
                }
            )
            return EXIT_OK
        import time

        context.terminal.data(HEADING)
        status = EXIT_OK
        for cookie in found:
            if cookie.left is None:
                context.warn(f"the cookie {cookie.value:#x} (semid {cookie.semid}) cannot be read: run as root")
                if not context.as_dmsetup:
                    status = EXIT_FAILED
                continue
            context.terminal.data(
                f"0x{cookie.value:<10x} {cookie.semid:<10d} {cookie.left:<10d} "
                f"{time.ctime(cookie.operated)}  {time.ctime(cookie.changed)}\n"
            )
    return status


def udevcreatecookie(invocation: Invocation) -> int:
    """Make a cookie and print it; where there is no udev to share it with, print nothing."""
    with Context(invocation) as context:
        reason = _no_sync(context)
        if reason:
            if not context.as_dmsetup:
                context.terminal.note(f"no cookie is needed: {reason}")
            if context.json:
                context.emit_json({"cookie": None})
            return EXIT_OK
        from vmgr.dm.cookies import create

        value = create()
        if context.json:
            context.emit_json({"cookie": f"{value:#010x}"})
        else:
            context.terminal.data(f"0x{value:08X}\n")
    return EXIT_OK


def udevreleasecookie(invocation: Invocation) -> int:
    """Wait until udev is done with a cookie's events, and remove it."""
    with Context(invocation) as context:
        value = _one(invocation.arguments[0]) if invocation.arguments else context.cookie()
        if not value:
            raise UsageError(
                "no cookie is given", hint="name it, or set DM_UDEV_COOKIE to what udevcreatecookie printed"
            )
        reason = _no_sync(context)
        if reason and context.as_dmsetup:
            return EXIT_OK
        from vmgr.dm.cookies import release
        from vmgr.dm.udev import TIMEOUT

        # Without a udev nobody would complete it.
        release(value, timeout=0 if reason else TIMEOUT)
        if context.json:
            context.emit_json({"released": f"{value:#x}"})
    return EXIT_OK


def udevcomplete(invocation: Invocation) -> int:
    """Count a cookie down by one, or with ``--all`` remove all."""
    with Context(invocation) as context:
        if invocation.flag("all"):
            if invocation.arguments:
                raise UsageError("give a cookie, or --all, not both")
            return _complete_all(context, invocation.number("age") or 0)
        if invocation.given("age"):
            raise UsageError("--age goes with --all", hint="`vmgr dm complete --all --age MINUTES`")
        if not invocation.arguments:
            raise UsageError(
                f"{invocation.command.name} needs a cookie", hint="`vmgr dm cookies` lists the existing ones"
            )
        value = _one(invocation.arguments[0])
        if not context.json:
            # udev's rules may read it.
            context.terminal.data(f"DM_COOKIE_COMPLETED=0x{value:<10x}\n")
        completed = False
        if not (context.as_dmsetup and _no_sync(context)):
            from vmgr.dm.cookies import complete

            completed = complete(value)
        if context.json:
            context.emit_json({"cookie": f"{value:#x}", "completed": completed})
    return EXIT_OK


def udevcomplete_all(invocation: Invocation) -> int:
    """Remove all cookies, or those that are older than so many minutes."""
    with Context(invocation) as context:
        return _complete_all(context, _minutes(invocation.arguments[0]) if invocation.arguments else 0)


def udevflags(invocation: Invocation) -> int:
    """Print the flags in a cookie as variables for udev's rules."""
    from vmgr.dm.cookies import decode_flags

    with Context(invocation) as context:
        value = _one(invocation.arguments[0])
        names = decode_flags(value)
        if context.json:
            context.emit_json({"cookie": f"{value:#x}", "flags": list(names)})
        else:
            context.terminal.data("".join(f"{name}='1'\n" for name in names))
    return EXIT_OK


# -- inside ---------------------------------------------------------------------------------------------


def _complete_all(context: Context, age: int) -> int:
    from vmgr.dm.cookies import complete_all
    from vmgr.dm.udev import MAGIC

    older = f"older than {age} minutes " if age else ""
    prefix = f"{MAGIC} ({MAGIC:#x})"
    if not context.terminal.ask(
        f"This removes all cookies {older}(semaphores with keys prefixed by {prefix}); commands that wait"
        " for udev stop waiting. Do you really want to continue?"
    ):
        text = f"Semaphores with keys prefixed by {prefix} NOT destroyed."
        if context.as_dmsetup:
            context.terminal.data(text + "\n")
        else:
            context.terminal.note(text)
        return EXIT_OK
    found = complete_all(age)
    for message in found.failed:
        context.terminal.say(message)
    text = (
        f"{len(found.completed)} semaphores with keys prefixed by {prefix} destroyed. {len(found.skipped)} skipped."
    )
    if context.json:
        context.emit_json(
            {
                "completed": [f"{value:#x}" for value in found.completed],
                "skipped": [f"{value:#x}" for value in found.skipped],
                "failed": list(found.failed),
            }
        )
    elif context.as_dmsetup:
        context.terminal.data(text + "\n")
    else:
        context.terminal.done(text)
    return EXIT_FAILED if found.failed and not context.as_dmsetup else EXIT_OK


def _one(text: str) -> int:
    """A cookie with flags in its upper half, or without."""
    return cookie_value(text)


def _minutes(text: str) -> int:
    digits = text.strip().removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"{text!r} is not a number of minutes")
    return int(digits)


def _no_sync(context: Context) -> str:
    """The reason not to wait for udev, in words; empty if commands wait for it."""
    if context.invocation.flag("noudevsync"):
        return "--noudevsync is given"
    from vmgr.dm.udev import udev_state

    state = udev_state(environ=context.environ)
    if state.usable:
        return ""
    if context.as_dmsetup and state.running and state.semaphores and not state.disabled:
        return ""  # dmsetup does not look for the rules
    return state.reasons()[0]


_COOKIE = Argument("Cookie", "the cookie's number, as 0xd4d1234")

DECLARED = {
    "udevcookies": Command(
        "udevcookies",
        "List udev's cookies: events that udev has not completed, or that no command has waited for.",
        usages=("",),
        run_alone=udevcookies,
    ),
    "cookies": Command(
        "cookies",
        "List udev's cookies, as udevcookies does.",
        usages=("",),
        run_alone=udevcookies,
    ),
    "udevcreatecookie": Command(
        "udevcreatecookie",
        "Make a cookie for several commands, to be given to each with --udevcookie, and print it.",
        usages=("",),
        run_alone=udevcreatecookie,
        changes=True,
    ),
    "udevreleasecookie": Command(
        "udevreleasecookie",
        "Wait until udev is done with all events of a cookie, for a bounded time, and remove it.",
        usages=("[Cookie]",),
        run_alone=udevreleasecookie,
        arguments=(
            Argument("Cookie", "the cookie; without it, the one of --udevcookie or DM_UDEV_COOKIE", needed=False),
        ),
        changes=True,
    ),
    "udevcomplete": Command(
        "udevcomplete",
        "Count a cookie down by one event, as udev's rules do, so that who waits for it goes on.",
        usages=("Cookie",),
        run_alone=udevcomplete,
        arguments=(_COOKIE,),
        changes=True,
    ),
    "complete": Command(
        "complete",
        "Count a cookie down by one event; or remove all cookies, or all that are older than so many minutes.",
        usages=("Cookie", "--all [--age Minutes]"),
        run_alone=udevcomplete,
        arguments=(Argument(_COOKIE.name, _COOKIE.help, needed=False),),
        options=(
            Option("all", "flag", "Remove all cookies, after a question (--yes answers it)."),
            Option(
                "age",
                "number",
                "With --all: leave those alone that were made or counted within so many minutes.",
                metavar="Minutes",
            ),
        ),
        changes=True,
    ),
    "udevcomplete_all": Command(
        "udevcomplete_all",
        "Remove all cookies, or all that are older than so many minutes, after a question (--yes answers it).",
        usages=("[Minutes]",),
        run_alone=udevcomplete_all,
        arguments=(
            Argument("Minutes", "leave those alone that were made or counted within so many minutes", needed=False),
        ),
        changes=True,
    ),
    "udevflags": Command(
        "udevflags",
        "Print the flags in the upper half of a cookie as variables for udev's rules.",
        usages=("Cookie",),
        run_alone=udevflags,
        arguments=(_COOKIE,),
    ),
}
