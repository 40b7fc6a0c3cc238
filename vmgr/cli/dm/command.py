"""``vmgr dm``, and the links called ``dmsetup`` and ``dmstats``: finds the subcommand, parses and runs it.

As ``vmgr dm`` it is strict: an option that the subcommand does not heed is refused, statuses are 0, 3 (bad command
line) and 5 (failure). As ``dmsetup`` it is as dmsetup is: options may stand anywhere, those that mean nothing to
the subcommand are ignored, of one that is repeated the last counts, statuses are 0 and 1. Source: LVM2
``libdm/dm-tools/dmsetup.c`` (``main``, ``_process_switches``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm.registry import GROUPS, SUBCOMMANDS, VALUED, VALUED_LETTERS, first_words, load, members
from vmgr.core.errors import EXIT_BAD_COMMAND_LINE, EXIT_OK, UsageError, VmgrError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmgr.cli.declare import Command, Option
    from vmgr.cli.terminal import Terminal

EXIT_DMSETUP_FAILED = 1
HELP_WORDS = ("-h", "--help", "-?")


def run(words: Sequence[str], terminal: Terminal, *, as_dmsetup: bool = False, group: str = "") -> int:
    """Run what follows ``vmgr dm``; the exit status.

    ``as_dmsetup``: called through a link; every failure is said here and is status 1. ``group`` is a first word
    that goes without saying (``stats`` for a link called ``dmstats``). Otherwise raises :class:`VmgrError`.
    """
    terminal.raw_to_files = True
    if not as_dmsetup:
        return _run(list(words), terminal, as_dmsetup=False, group=group)
    terminal.indent = ""
    try:
        status = _run(list(words), terminal, as_dmsetup=True, group=group)
    except UsageError as error:
        terminal.error(error)
        terminal.say("Couldn't process command line.")
        return EXIT_DMSETUP_FAILED
    except VmgrError as error:
        terminal.error(error)
        status = EXIT_DMSETUP_FAILED
    except KeyboardInterrupt:
        from vmgr.cli.main import EXIT_INTERRUPTED

        return EXIT_INTERRUPTED
    if status == EXIT_BAD_COMMAND_LINE:
        return EXIT_DMSETUP_FAILED  # the usage has been shown
    if status:
        terminal.say("Command failed.")
        return EXIT_DMSETUP_FAILED
    return EXIT_OK


def _run(words: list[str], terminal: Terminal, *, as_dmsetup: bool, group: str) -> int:
    name, rest = find(words, group)
    if name == "help":
        from vmgr.cli.dm.help import show_help

        status = show_help(_help_topic(rest, group), terminal, as_dmsetup=as_dmsetup, group=group)
        if as_dmsetup and set(rest) & {"-c", "-C", "--columns"}:
            from vmgr.cli.dm.columns import catalog

            terminal.say(catalog().help(indent=""))
        return status
    if not name or name in GROUPS:
        if set(rest) & {"--version", *HELP_WORDS}:
            return _without_subcommand(rest, name, terminal, as_dmsetup=as_dmsetup)
        options = [word for word in rest if word.startswith("-") and len(word) > 1]
        if options and not as_dmsetup:
            raise UsageError("give a subcommand", hint="usage: vmgr dm SUBCOMMAND [OPTION]...")
        from vmgr.cli.dm.help import show_help

        show_help(name, terminal, as_dmsetup=as_dmsetup, group=group)
        return EXIT_BAD_COMMAND_LINE
    if name not in SUBCOMMANDS:
        if set(rest) & set(HELP_WORDS) and as_dmsetup:
            return _without_subcommand(rest, "", terminal, as_dmsetup=True)
        raise unknown(name)
    return run_subcommand(name, rest, terminal, as_dmsetup=as_dmsetup)


def run_subcommand(name: str, words: Sequence[str], terminal: Terminal, *, as_dmsetup: bool = False) -> int:
    """Run one subcommand with the words around its name; the exit status. Raises :class:`VmgrError`."""
    from vmgr.cli.dm.context import DmInvocation
    from vmgr.cli.parse import check, parse

    command = load(name)
    parsed = parse(
        command, options_of(command, as_dmsetup=as_dmsetup), words, program="vmgr dm", relaxed=as_dmsetup
    )
    known = {option.name for option in options_of(command)}
    values = {key: value for key, value in parsed.values.items() if key in known}
    if "help" in values:
        from vmgr.cli.dm.help import show_help

        return show_help("" if as_dmsetup else name, terminal, as_dmsetup=as_dmsetup)
    if "version" in values and name != "version":
        return run_subcommand("version", (), terminal, as_dmsetup=as_dmsetup)
    verbose = values.get("verbose", 0)
    assert isinstance(verbose, int)
    terminal.configure(verbose=max(0, verbose - 1), debug=0, quiet=0, yes=bool(values.get("yes")))
    check(command, parsed, program="vmgr dm")
    if {"major", "minor"} <= known:
        _check_together(values)
    if values.keys() & {"count", "interval"}:
        import gc

        gc.enable()  # which main() has not, for the sake of commands that end at once
    ignored = frozenset(parsed.values) - known
    invocation = DmInvocation(command, tuple(parsed.arguments), values, terminal, as_dmsetup, ignored)
    assert command.run_alone is not None
    return command.run_alone(invocation)


def options_of(command: Command, *, as_dmsetup: bool = False) -> tuple[Option, ...]:
    """All options that a subcommand takes; ``as_dmsetup``: with those that it does not heed."""
    from vmgr.cli.dm.options import COMMON

    options = (*command.options, *COMMON)
    if not as_dmsetup:
        return options
    return (*options, *_ignored({option.name for option in options}))


def _ignored(known: set[str]) -> Iterator[Option]:
    """dmsetup's other options."""
    from vmgr.cli.declare import Option
    from vmgr.cli.dm.registry import DMSETUP_FLAGS, DMSETUP_VALUED

    for kind, words in (("flag", DMSETUP_FLAGS), ("text", DMSETUP_VALUED)):
        for word in words:
            name, _, letters = word.partition("/")
            if name not in known:
                yield Option(name, kind, "", short=letters)


def find(words: Sequence[str], group: str = "") -> tuple[str, list[str]]:
    """The subcommand's name, and all words but those that name it. The name is empty where there is none.

    Of a group without a known second word it is the group's name, and a wrong second word makes it
    ``GROUP WORD``.
    """
    places = _arguments(words)
    name, used = group, set[int]()
    if not group:
        first = next(places, None)
        if first is None:
            return "", list(words)
        name = words[first]
        used.add(first)
    if name in GROUPS:
        second = next(places, None)
        if second is not None:
            if words[second] == "help":  # of the group
                name, used = "help", set()
            else:
                name = f"{name} {words[second]}"
            used.add(second)
    return name, [word for at, word in enumerate(words) if at not in used]


def _arguments(words: Sequence[str]) -> Iterator[int]:
    """The places of words that are neither options nor their values, as ``getopt_long`` sees them."""
    at, end = 0, len(words)
    while at < end:
        word = words[at]
        at += 1
        if word == "--":
            yield from range(at, end)
            return
        if word.startswith("--"):
            name, equals, _ = word[2:].partition("=")
            if not equals and _valued(name.replace("-", "")):
                at += 1
        elif len(word) > 1 and word[0] == "-":
            letter = next((i for i in range(1, len(word)) if word[i] in VALUED_LETTERS), 0)
            if letter == len(word) - 1:
                at += 1
        else:
            yield at - 1


def _valued(name: str) -> bool:
    """Whether a value follows a long option, which may be shortened to a unique beginning."""
    if name in VALUED:
        return True
    from vmgr.cli.dm.registry import DMSETUP_FLAGS

    flags = [flag.partition("/")[0] for flag in DMSETUP_FLAGS]
    if not name or any(flag.startswith(name) for flag in flags):
        return False
    return any(option.startswith(name) for option in VALUED)


def _help_topic(rest: Sequence[str], group: str) -> str:
    """What help is asked for: the words after ``help`` that are no options."""
    words = [rest[at] for at in _arguments(rest)]
    name, _ = find(words, group)
    return name if name != "help" else ""


def _without_subcommand(words: Sequence[str], name: str, terminal: Terminal, *, as_dmsetup: bool) -> int:
    """``vmgr dm --help``, ``vmgr dm --version``."""
    if set(words) & set(HELP_WORDS):
        from vmgr.cli.dm.help import show_help

        return show_help(name, terminal, as_dmsetup=as_dmsetup)
    return run_subcommand("version", [w for w in words if w != "--version"], terminal, as_dmsetup=as_dmsetup)


def unknown(name: str) -> UsageError:
    """The error for a subcommand that there is not, with those that are close."""
    from difflib import get_close_matches

    group, _, word = name.partition(" ")
    if word:
        known, before = members(group), f"{group} "
    else:
        known, before, word = first_words(), "", name
    close = get_close_matches(word, known, n=3) or sorted(k for k in known if word and k.startswith(word))
    listed = f"`vmgr dm help {group}`" if word and before else "`vmgr dm help`"
    hint = f"did you mean {' or '.join(before + k for k in close)}?" if close else f"{listed} lists them"
    return UsageError(f"no such subcommand: {name}", hint=hint)


def _check_together(values: dict[str, object]) -> None:
    if ("major" in values) != ("minor" in values):
        given, other = ("major", "minor") if "major" in values else ("minor", "major")
        raise UsageError(f"--{given} needs --{other}", hint="give both numbers")
