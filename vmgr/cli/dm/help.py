"""Help on ``vmgr dm``: made from the declarations when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm.registry import GROUPS, SUBCOMMANDS, first_words, load, members
from vmgr.core.errors import EXIT_OK

if TYPE_CHECKING:
    from vmgr.cli.terminal import Terminal


def show_help(topic: str, terminal: Terminal, *, as_dmsetup: bool = False, group: str = "") -> int:
    """Print help on a subcommand, a group or (an empty topic) all of them; the exit status.

    dmsetup has its help on standard error. Raises :class:`~vmgr.core.errors.UsageError` for an unknown topic.
    """
    if as_dmsetup:
        terminal.say(dmsetup_usage(group or (topic if topic in GROUPS else "")))
        return EXIT_OK
    if topic in SUBCOMMANDS:
        from vmgr.cli.dm.clicks import help_text

        terminal.data(help_text(topic))
    elif not topic or topic in GROUPS or topic == "help":
        terminal.data(overview(topic if topic in GROUPS else ""))
    else:
        from vmgr.cli.dm.command import unknown

        raise unknown(topic)
    return EXIT_OK


ALL = "Work with device-mapper devices: dmsetup's commands. No volume group is touched."


def overview(group: str = "") -> str:
    """The list of subcommands, each with its summary."""
    from textwrap import wrap

    words = members(group) if group else [word for word in first_words() if word != "help"]
    prefix = f"{group} " if group else ""
    rows = [(word, GROUPS.get(prefix + word) or load(prefix + word).summary) for word in words]
    width = max((len(word) for word, _ in rows), default=0)
    lines = [
        f"Usage: vmgr dm {prefix}SUBCOMMAND [OPTION]... [ARGUMENT]...",
        "",
        GROUPS[group] if group else ALL,
        "",
        "Subcommands:",
    ]
    for word, summary in rows:
        head, margin = f"  {word.ljust(width)}  ", " " * (width + 4)
        lines += wrap(summary, 80, initial_indent=head, subsequent_indent=margin)
    lines += ["", f"`vmgr dm help {prefix}SUBCOMMAND` tells about one, the man page vmgr-dm(8) more."]
    return "\n".join(lines) + "\n"


def dmsetup_usage(group: str) -> str:
    """What dmsetup prints for help and for a command line without a command."""
    names = sorted(name for name in SUBCOMMANDS if not group or name.startswith(group + " "))
    lines = ["Usage:", "", "dmstats" if group else "dmsetup"]
    for name in names:
        word = name.partition(" ")[2] if group else name
        lines += [f"\t{word} {usage}".rstrip() for usage in load(name).usages]
    lines += ["", "DEVICE may be a name or (if only one) -u UUID or -j MAJOR -m MINOR."]
    return "\n".join(lines) + "\n"
