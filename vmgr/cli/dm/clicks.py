"""``vmgr dm`` as click sees it: for completion, and for laying out the help of a subcommand."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import CompletionItem

from vmgr.cli.dm.command import options_of, run
from vmgr.cli.dm.registry import GROUPS, SUBCOMMANDS, first_words, load, members
from vmgr.cli.group import CONTEXT, DeclaredCommand


class DeviceArgument(click.Argument):
    """An argument that names a device, completed from the names in ``/dev/mapper``."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names of nodes; those of the kernel's devices would need root."""
        from vmgr.dm.names import unmangle

        directory = os.path.join(os.environ.get("DM_DEV_DIR") or "/dev", "mapper")
        try:
            names = sorted(unmangle(name) for name in os.listdir(directory) if name != "control")
        except OSError:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class Subcommand(DeclaredCommand):
    """A click command made from a subcommand's declaration."""

    def __init__(self, name: str) -> None:
        declared = load(name)
        super().__init__(declared, common=options_of(declared)[len(declared.options) :], page="vmgr-dm(8)")
        self.name = name.rpartition(" ")[2]
        self.path = name
        for at, argument in enumerate(declared.arguments):
            if argument.name.upper() == "DEVICE":
                self.params[at] = DeviceArgument(
                    [f"argument{at}"], nargs=-1 if argument.many else 1, required=False, metavar=argument.usage
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand as :mod:`vmgr.cli.dm.command` would."""
        from vmgr.cli.terminal import Terminal

        ctx.exit(run([*self.path.split(), *ctx.args], Terminal()))


class Subgroup(click.Group):
    """``vmgr dm``, or a group of subcommands in it; each is imported when it is asked for."""

    def __init__(self, group: str = "") -> None:
        text = GROUPS.get(group, "Work with device-mapper devices: dmsetup's commands.")
        super().__init__(group or "dm", help=text, context_settings=CONTEXT)
        self.first = group

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The words that may follow."""
        return sorted(members(self.first)) if self.first else [w for w in first_words() if w != "help"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand or group called ``cmd_name``, or None."""
        path = f"{self.first} {cmd_name}" if self.first else cmd_name
        if path in SUBCOMMANDS:
            return Subcommand(path)
        return Subgroup(path) if path in GROUPS else None


group = Subgroup()


def help_text(name: str) -> str:
    """The help of one subcommand."""
    parent = click.Context(group, info_name="vmgr dm", help_option_names=CONTEXT["help_option_names"])
    command = Subcommand(name)
    return command.get_help(click.Context(command, info_name=name, parent=parent)) + "\n"
