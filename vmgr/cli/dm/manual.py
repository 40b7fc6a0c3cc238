"""The man page ``vmgr-dm(8)``: declarations of all subcommands, around prose from ``man/prose/dm.roff``.

A section of the prose called ``SUBCOMMAND NAME`` goes into the entry of that subcommand.
"""

from __future__ import annotations

from vmgr.cli import manpage
from vmgr.cli.dm.options import COMMON
from vmgr.cli.dm.registry import GROUPS, SUBCOMMANDS, load
from vmgr.cli.manpage import HEAD, LAYOUT, bold, listed, option_list, quote, sections, sentence

LAST = ("ENVIRONMENT", *manpage.LAST)

EXIT_STATUS = """.SH EXIT STATUS
As
.BR "vmgr dm" :
.TP
.B 0
Success.
.TP
.B 3
The command line is wrong, or a name or a table in it; nothing was done.
.TP
.B 5
Failure. Of several devices, the first failure ends the command; those before it are done, and the message names
the others.
.TP
.B 130
Interrupted, as
.BR dmsetup .
.PP
As
.BR dmsetup :
0 or 1.
"""


def page(prose: str) -> str:
    """The whole page."""
    written = sections(prose)
    text = HEAD + '.TH VMGR-DM 8 "" vmgr "System administration"\n' + LAYOUT
    text += ".SH NAME\nvmgr\\-dm \\- work with device\\-mapper devices, as dmsetup does\n.SH SYNOPSIS\n"
    text += "\\fBvmgr dm\\fP \\fISUBCOMMAND\\fP [\\fIOPTION\\fP|\\fIARGUMENT\\fP]...\n.br\n"
    text += "\\fBdmsetup\\fP \\fISUBCOMMAND\\fP [\\fIOPTION\\fP|\\fIARGUMENT\\fP]...\n.br\n"
    text += "\\fBdmstats\\fP \\fISUBCOMMAND\\fP [\\fIOPTION\\fP|\\fIARGUMENT\\fP]...\n.br\n"
    text += "\\fBvmgr dm help\\fP [\\fISUBCOMMAND\\fP]\n"
    for heading, body in written.items():
        if heading not in LAST and not heading.startswith("SUBCOMMAND "):
            text += f".SH {heading}\n{body}"
    text += ".SH SUBCOMMANDS\n" + "".join(_subcommand(name, written) for name in _names(grouped=False))
    for group, about in sorted(GROUPS.items()):
        text += f".SH SUBCOMMANDS OF {group.upper()}\n{quote(about)}\n"
        text += "".join(_subcommand(name, written) for name in _names(grouped=True) if name.split()[0] == group)
    text += ".SH COMMON OPTIONS\nThese go with every subcommand.\n" + option_list(COMMON)
    text += EXIT_STATUS
    for heading in LAST:
        if heading in written:
            text += f".SH {heading}\n{written[heading]}"
    return text


def _names(*, grouped: bool) -> list[str]:
    return sorted(name for name in SUBCOMMANDS if (" " in name) == grouped)


def _subcommand(name: str, written: dict[str, str]) -> str:
    command = load(name)
    text = f".SS {quote(name)}\n"
    lines = [f"{bold(f'vmgr dm {name}')} {quote(usage)}".rstrip() for usage in command.usages]
    text += "\n.br\n".join(lines) + f"\n.PP\n{quote(sentence(command.summary))}\n"
    text += written.get(f"SUBCOMMAND {name}", "")
    for argument in command.arguments:
        text += f".TP\n\\fI{quote(argument.usage)}\\fP\n{quote(sentence(argument.help))}\n"
    text += option_list(command.options)
    for names in command.exclusive:
        text += f".PP\n{listed([bold('--' + n) for n in names])} exclude each other.\n"
    return text
