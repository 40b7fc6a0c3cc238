"""The command line as LVM2 parses it (``getopt_long`` with LVM2's habits on top); pure.

A long option may be shortened to any unique beginning, and hyphens inside it do not count (``--no-headings``);
its value follows after ``=`` or as the next argument, whatever that looks like. Short options
cluster (``-an``, ``-l100%FREE``, ``-vvv``). Options and arguments mix freely; ``--`` ends the options. An option
that is no ``count`` and not marked ``many`` may be given once. Source: LVM2 ``tools/lvmcmdline.c``.
dmsetup's grammar is the same but for that: there the last one counts, which is what ``relaxed`` asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmgr.cli.declare import Command, Option


class Parsed:
    """What a command line says: ``values`` by long name, ``arguments`` in order. Mutable while it is parsed."""

    __slots__ = ("arguments", "values")

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.arguments: list[str] = []


def see_help(command: Command, program: str = "vmgr") -> str:
    """The hint that most usage errors carry."""
    return f"see `{program} {command.name} --help`"


def parse(
    command: Command,
    options: Sequence[Option],
    words: Sequence[str],
    *,
    program: str = "vmgr",
    relaxed: bool = False,
) -> Parsed:
    """Parse the words after the command's name. ``options`` are all that the command takes.

    ``program`` is what the command's name follows. ``relaxed``: of an option that is repeated the last counts.
    Raises :class:`UsageError`. Arguments and combinations are not checked yet: see :func:`check`.
    """
    return _Parser(command, options, program, relaxed).run(words)


class _Parser:
    def __init__(self, command: Command, options: Sequence[Option], program: str, relaxed: bool) -> None:
        self.command = command
        self.program = program
        self.relaxed = relaxed
        self.long: dict[str, Option] = {}
        self.short: dict[str, Option] = {}
        for option in options:
            for name in (option.name, *option.aliases):
                self.long[name.replace("-", "")] = option
            for letter in option.short:
                self.short[letter] = option
        self.refused: dict[str, str] = {}
        for word in command.unsupported:
            name, _, letter = word.partition("/")
            if name in self.long:
                continue
            self.refused[name] = name
            if letter and letter not in self.short:
                self.refused["-" + letter] = name
        self.parsed = Parsed()

    def run(self, words: Sequence[str]) -> Parsed:
        parsed = self.parsed
        at, end = 0, len(words)
        while at < end:
            word = words[at]
            at += 1
            if word == "--":
                parsed.arguments += words[at:]
                break
            if word.startswith("--"):
                name, equals, value = word[2:].partition("=")
                option = self.find(name.replace("-", ""), word)
                if not option.takes_value:
                    if equals:
                        raise self.wrong(f"option {option.flags} takes no value")
                    self.store(option, None)
                elif equals:
                    self.store(option, value)
                elif at < end:
                    self.store(option, words[at])
                    at += 1
                else:
                    raise self.wrong(f"option {option.flags} needs a value")
            elif len(word) > 1 and word[0] == "-":
                for place in range(1, len(word)):
                    option = self.letter(word[place])
                    if not option.takes_value:
                        self.store(option, None)
                        continue
                    rest = word[place + 1 :]
                    if not rest:
                        if at >= end:
                            raise self.wrong(f"option {option.flags} needs a value")
                        rest = words[at]
                        at += 1
                    self.store(option, rest)
                    break
            else:
                parsed.arguments.append(word)
        return parsed

    def wrong(self, message: str, hint: str = "") -> UsageError:
        return UsageError(message, hint=hint or see_help(self.command, self.program))

    def find(self, name: str, word: str) -> Option:
        """The option whose name is, or alone begins with, ``name``."""
        option = self.long.get(name)
        if option is not None:
            return option
        if name in self.refused:
            raise self.unsupported(name)
        found = {self.long[key].name: key for key in self.long if key.startswith(name)} if name else {}
        refused = [key for key in self.refused if name and key.startswith(name)]
        if len(found) + len(refused) == 1:
            if refused:
                raise self.unsupported(refused[0])
            return self.long[next(iter(found.values()))]
        if found or refused:
            names = sorted([*found.values(), *refused])
            raise self.wrong(
                f"option --{name} is ambiguous: it could be {', '.join('--' + key for key in names)}",
                hint="give more of its name",
            )
        from difflib import get_close_matches

        close = get_close_matches(name, self.long, n=3)
        raise self.wrong(
            f"unknown option {word.partition('=')[0]}",
            hint=f"did you mean {' or '.join('--' + self.long[key].name for key in close)}?" if close else "",
        )

    def letter(self, letter: str) -> Option:
        option = self.short.get(letter)
        if option is not None:
            return option
        if "-" + letter in self.refused:
            raise self.unsupported(self.refused["-" + letter])
        if letter == "?":
            return self.long["help"]
        raise self.wrong(f"unknown option -{letter}")

    def unsupported(self, name: str) -> UsageError:
        from vmgr.core.kinds import kind_of_option, not_yet

        kind = kind_of_option(name)
        if kind:
            return not_yet(kind, f"--{name}", self.command.name)
        return UsageError(
            f"option --{name} of LVM2's {self.command.name} is not supported by vmgr",
            hint=f"see `vmgr {self.command.name} --help` for those that are, or use LVM2's own {self.command.name}",
        )

    def store(self, option: Option, text: str | None) -> None:
        values, name = self.parsed.values, option.name
        if option.kind == "count":
            before = values.get(name, 0)
            assert isinstance(before, int)
            values[name] = before + 1
            return
        if name in values and not option.many and not self.relaxed:
            raise self.wrong(f"option {option.flags} may not be repeated")
        value: object = True
        if text is not None:
            value = text if option.kind == "text" else self.convert(option, text)
        if option.many:
            before = values.get(name, ())
            assert isinstance(before, tuple)
            value = (*before, value)
        values[name] = value

    def convert(self, option: Option, text: str) -> object:
        from vmgr.cli.values import convert

        try:
            return convert(option, text)
        except UsageError as error:
            message = f"invalid value for {option.flags}: {error.message}"
            raise type(error)(message, hint=error.hint or see_help(self.command, self.program)) from None


def check(command: Command, parsed: Parsed, *, program: str = "") -> None:
    """Check that arguments are complete and that the options given go together.

    Raises :class:`UsageError`, naming what is missing or too much.
    """
    values = parsed.values
    usage = f"usage: {program} {command.name} {command.usages[0]}".replace("  ", " ")
    for names in command.exclusive:
        given = [name for name in names if name in values]
        if len(given) > 1:
            raise UsageError(
                f"options --{given[0]} and --{given[1]} exclude each other", hint="give only one of them"
            )
    for names in command.one_of:
        if not any(name in values for name in names):
            raise UsageError(
                f"{command.name} needs {'one of ' if len(names) > 1 else ''}{', '.join('--' + n for n in names)}",
                hint=see_help(command, program or "vmgr"),
            )
    needed = sum(1 for argument in command.arguments if argument.needed)
    if len(parsed.arguments) < needed:
        missing = [argument for argument in command.arguments if argument.needed][len(parsed.arguments)]
        raise UsageError(
            f"{command.name} needs {missing.name}: {missing.help}",
            hint=usage,
        )
    many = any(argument.many for argument in command.arguments)
    if len(parsed.arguments) > len(command.arguments) and not many:
        extra = parsed.arguments[len(command.arguments)]
        raise UsageError(f"{command.name} takes no argument {extra!r}", hint=usage)
