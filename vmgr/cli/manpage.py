"""Man pages: what can be known from declarations is written by this, around prose from ``man/prose``.

:mod:`vmgr.cli.manual` writes the files. ``man/prose/COMMAND.roff`` has the sections that people write, each begun
by ``.SH``: ``DESCRIPTION``, ``EXAMPLES``, ``SEE ALSO``, and others that go in between; ``EXIT STATUS`` takes the
place of the usual one. ``@COMMANDS@`` and ``@COMMON@`` in ``man/prose/vmgr.roff`` become the lists of commands and
of common options.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.cli.options_common import COMMON
from vmgr.cli.registry import COMMANDS, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmgr.cli.declare import Command, Option
    from vmgr.core.hooks import TargetInfo

HEAD = '.\\" Written by `make man` from the declarations in vmgr/cli and from man/prose. Edit those.\n'
LAYOUT = ".nh\n.ad l\n"
"""Words are not parted, so that names can be searched for and copied; lines are not stretched."""
LAST = ("EXAMPLES", "SEE ALSO")

EXIT_STATUS = """.SH EXIT STATUS
.TP
.B 0
Success.
.TP
.B 3
The command line is wrong; nothing was done.
.TP
.B 5
Failure. Unless the message says otherwise, nothing was changed; where several things were named, those
that are not in a message were done.
"""


def quote(text: str) -> str:
    """Plain text as roff shows it: backslashes, hyphens and a dot at a line's beginning made harmless."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"(?m)^(?=\.)", r"\\&", text)


def bold(text: str) -> str:
    """A literal word."""
    return f"\\fB{quote(text)}\\fP"


def option_entry(option: Option) -> str:
    """One option's entry in a list."""
    names = [*(f"-{letter}" for letter in option.short), *(f"--{n}" for n in (option.name, *option.aliases))]
    head = ", ".join(bold(name) for name in names)
    if option.takes_value:
        head += f" \\fI{quote(option.value_name)}\\fP"
    notes = " May be repeated." if option.many and "repeated" not in option.help else ""
    return f".TP\n{head}\n{quote(option.help)}{notes}\n"


def option_list(options: Iterable[Option]) -> str:
    """Entries for ``options``, sorted by name."""
    return "".join(option_entry(option) for option in sorted(options, key=lambda option: option.name))


def sections(text: str) -> dict[str, str]:
    """The sections of hand-written prose, by heading."""
    parts = re.split(r"(?m)^\.SH (.+)\n", text)
    return {parts[i].strip(): parts[i + 1].strip("\n") + "\n" for i in range(1, len(parts), 2)}


def command_page(command: Command, prose: str, plugins: Sequence[TargetInfo]) -> str:
    """The page of a command. ``plugins`` are those whose options are to be in it."""
    written = sections(prose)
    name = f"vmgr-{command.name}"
    summary = command.summary.split(".")[0]
    text = HEAD + f'.TH {name.upper()} 8 "" vmgr "System administration"\n' + LAYOUT
    text += f".SH NAME\n{quote(name)} \\- {quote(summary[0].lower() + summary[1:])}\n.SH SYNOPSIS\n"
    lines = [f"\\fBvmgr {command.name}\\fP {quote(usage)}".rstrip() for usage in command.usages]
    text += "\n.br\n".join(lines) + "\n"
    for heading, body in written.items():
        if heading not in (*LAST, "EXIT STATUS"):
            text += f".SH {heading}\n{body}"
    if command.arguments:
        text += ".SH ARGUMENTS\n"
        for argument in command.arguments:
            text += f".TP\n\\fI{quote(argument.usage)}\\fP\n{quote(sentence(argument.help))}\n"
    if command.options:
        text += ".SH OPTIONS\n" + option_list(command.options)
        for names in command.exclusive:
            text += f".PP\n{listed([bold('--' + n) for n in names])} exclude each other.\n"
    if command.from_plugins:
        text += plugin_section(command, plugins)
    text += ".SH COMMON OPTIONS\nThese go with every command; see\n.BR vmgr (8).\n" + option_list(COMMON)
    text += f".SH EXIT STATUS\n{written['EXIT STATUS']}" if "EXIT STATUS" in written else EXIT_STATUS
    missing = not_here(command, plugins)
    if missing:
        text += (
            ".SH DIFFERENCES FROM LVM2\nLVM2\\(aqs command of this name also has\n"
            + quote(", ".join(f"--{n}" for n in missing)).replace("\\-\\-", "\\%\\-\\-")
            + ".\nvmgr refuses them by name, unless a target plugin adds them.\n"
        )
    for heading in LAST:
        if heading in written:
            text += f".SH {heading}\n{written[heading]}"
    return text


def plugin_section(command: Command, plugins: Sequence[TargetInfo]) -> str:
    """What target plugins add to a command."""
    from vmgr.cli.declare import from_spec

    text = (
        ".SH OPTIONS OF TARGET PLUGINS\nTarget plugins add options to this command. Those of the plugins that come"
        " with vmgr follow;\n.B vmgr plugins\nlists all that are installed, and their options.\n"
    )
    for info in plugins:
        specs = [spec for spec in info.options if command.name in spec.commands]
        manual = info.manual.strip() if command.name == "lvcreate" else ""
        if not specs and not manual:
            continue
        text += f".SS {quote(info.name)}\n{quote(sentence(info.summary))}\n"
        text += option_list(from_spec(spec, info.name) for spec in specs)
        for paragraph in re.split(r"\n\s*\n", manual) if manual else ():
            text += f".PP\n{quote(' '.join(paragraph.split()))}\n"
    return text


def not_here(command: Command, plugins: Sequence[TargetInfo]) -> list[str]:
    """LVM2's options that neither the command nor one of ``plugins`` has."""
    specs = [spec for info in plugins for spec in info.options if command.name in spec.commands]
    added = {name for spec in specs for name in (spec.name, *spec.aliases)}
    names = [word.partition("/")[0] for word in command.unsupported]
    return [name for name in names if name not in added]


def main_page(prose: str) -> str:
    """The page of vmgr itself."""
    commands = "".join(f".TP\n.BR vmgr\\-{name} (8)\n{quote(load(name).summary)}\n" for name in sorted(COMMANDS))
    parts = {"@COMMANDS@\n": commands, "@COMMON@\n": option_list(COMMON), "@SETTINGS@\n": settings_list()}
    for mark, text in parts.items():
        prose = prose.replace(mark, text)
    return HEAD + prose


def settings_list() -> str:
    """The settings of lvm.conf without effect, by reason."""
    from vmgr.system.disregarded import DISREGARDED

    names: dict[str, list[str]] = {}
    for path, known in DISREGARDED.items():
        names.setdefault(known.why, []).append(path)
    between = ' ", " '
    return "".join(
        f".TP\n.BR {between.join(map(quote, paths))}\n{quote(why[0].upper() + why[1:])}.\n"
        for why, paths in names.items()
    )


def sentence(text: str) -> str:
    """Text with a capital in front and a full stop behind."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def listed(words: list[str]) -> str:
    """Words as prose lists them."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
