"""The command line as click sees it: help, completion, and commands that are click commands of their own.

A :class:`click.Command` is built from a declaration when it is asked for. Its arguments are parsed
by :mod:`vmgr.cli.parse` all the same; click's parser only serves shell completion.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from vmgr.cli.completion import of_argument, of_option
from vmgr.cli.registry import COMMANDS, MOUNTED, load
from vmgr.core.errors import EXIT_BAD_COMMAND_LINE, EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmgr.cli.declare import Command, Option

CONTEXT = {"help_option_names": ["-h", "--help"]}

EPILOG = (
    "Every command also runs through a link of its name. `vmgr COMMAND --help` tells about one, the man page"
    " vmgr-COMMAND(8) more."
)


class DeclaredCommand(click.Command):
    """A click command made from a declaration."""

    def __init__(
        self, declared: Command, added: Sequence[Option] = (), common: Sequence[Option] = (), page: str = ""
    ) -> None:
        if not common:
            from vmgr.cli.options_common import COMMON

            common = COMMON
        self.declared = declared
        self._page = page
        params: list[click.Parameter] = [
            click.Argument(
                [f"argument{number}"],
                nargs=-1 if a.many else 1,
                required=False,
                metavar=a.usage,
                type=click.Choice(a.choices) if a.choices else click.STRING,
                shell_complete=None if a.choices or page else of_argument(declared, a),
            )
            for number, a in enumerate(declared.arguments)
        ]
        params += [_click_option(option) for option in (*declared.options, *added, *common)]
        super().__init__(
            declared.name,
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
            params=params,
            help=declared.summary,
            short_help=declared.summary,
            add_help_option=False,
            epilog=f"See {page or f'vmgr-{declared.name}(8)'}.",
        )

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all usage lines."""
        for number, usage in enumerate(self.declared.usages):
            prefix = "Usage: " if not number else "       "
            if usage:
                formatter.write_usage(ctx.command_path, usage, prefix=prefix)
            else:  # click before 8.1.4 writes nothing then
                formatter.write(f"{prefix}{ctx.command_path}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write an example, and where more is said."""
        from vmgr.cli.overview import EXAMPLES

        if self.declared.name in EXAMPLES and not self._page:
            formatter.write_paragraph()
            formatter.write(f"Example: {EXAMPLES[self.declared.name]}\n")
        super().format_epilog(ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments as they are, for vmgr's own parser; complete them as click does."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        ctx.args = list(args)
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command as :mod:`vmgr.cli.main` would."""
        from vmgr.cli.main import main

        ctx.exit(main(["vmgr", self.declared.name, *ctx.args]))


def _click_option(option: Option) -> click.Option:
    names = [*(f"-{letter}" for letter in option.short), f"--{option.name}"]
    names += [f"--{alias}" for alias in option.aliases]
    settings: dict[str, Any] = {"help": option.help, "expose_value": False}
    if option.kind == "flag":
        settings["is_flag"] = True
    elif option.kind == "count":
        settings["count"] = True
    else:
        choices = ("y", "n") if option.kind == "yesno" else option.choices
        settings["multiple"] = option.many
        settings["metavar"] = option.value_name
        settings["type"] = click.Choice(choices) if choices else click.STRING
        settings["shell_complete"] = None if choices else of_option(option)
    return click.Option([*names, option.name.replace("-", "_")], **settings)


class LazyGroup(click.Group):
    """All commands; each is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        return sorted([*COMMANDS, *MOUNTED])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands as an operator thinks of them, each section with an example."""
        from vmgr.cli.overview import EXAMPLES, sections

        for title, names in sections(tuple(self.list_commands(ctx))):
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                assert command is not None
                rows.append((name, command.get_short_help_str(limit=1000)))
            with formatter.section(title):
                formatter.write_dl(rows)
            if names and names[0] in EXAMPLES:
                formatter.write(f"  Example: {EXAMPLES[names[0]]}\n")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called ``cmd_name``, or None."""
        if cmd_name in COMMANDS:
            declared = load(cmd_name)
            return DeclaredCommand(declared, _added(declared))
        if cmd_name in MOUNTED:
            from importlib import import_module

            module, _, name = MOUNTED[cmd_name].partition(":")
            command = getattr(import_module(module), name)
            assert isinstance(command, click.Command)
            return command
        return None


def _added(declared: Command) -> tuple[Option, ...]:
    """What plugins add; nothing where they cannot be loaded, as help must not fail for that."""
    if not declared.from_plugins:
        return ()
    from vmgr.cli.main import with_plugins
    from vmgr.core.errors import VmgrError

    try:
        return with_plugins(declared, lambda _: None)[1]
    except VmgrError:
        return ()


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from vmgr.cli.version import version_text

        click.echo(version_text(), nl=False)
        ctx.exit()


@click.group(cls=LazyGroup, context_settings=CONTEXT, epilog=EPILOG)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions and exit.",
)
def cli() -> None:
    """Manage logical volumes: LVM2's commands and on-disk format, with target plugins.

    Physical volumes (pv...) are disks or partitions. Volume groups (vg...) pool them. Logical
    volumes (lv...) are cut from a group and used like disks.
    """


def run(program: str, words: Sequence[str]) -> int:
    """Run what needs click: help of the whole, completion, mounted commands. The exit status."""
    from vmgr.core.errors import UsageError

    arguments = list(words)
    if arguments and arguments[0] in ("help", "-?", "--longhelp"):
        arguments = [*(word for word in arguments[1:2] if word != "help"), "--help"]
    status = EXIT_OK if arguments else EXIT_BAD_COMMAND_LINE
    if not arguments:
        arguments = ["--help"]
    command: click.Command = cli
    if "_VMGR_COMPLETE" in os.environ:
        if program in COMMANDS:  # a link: its words begin behind the command
            declared = load(program)
            command = DeclaredCommand(declared, _added(declared))
        else:
            program = "vmgr"
    streams = sys.stdout, sys.stderr
    try:
        result = command.main(arguments, prog_name=program, complete_var="_VMGR_COMPLETE", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.Abort:
        return EXIT_FAILED
    except click.UsageError as error:
        mounted = f"{program} {arguments[0]}" if arguments[0] in MOUNTED else program
        name = error.ctx.command_path if error.ctx else mounted  # click's parser knows no context
        raise UsageError(error.format_message().rstrip("."), hint=f"see `{name} --help`") from None
    except click.ClickException as error:
        raise UsageError(error.format_message().rstrip(".")) from None
    except SystemExit as leaving:  # a mounted command's own status
        if sys.stdout is not streams[0]:  # click muffles both and ends with 1 where nobody reads on
            sys.stdout, sys.stderr = streams
            raise BrokenPipeError from None
        return leaving.code if isinstance(leaving.code, int) else EXIT_OK if leaving.code is None else EXIT_FAILED
    return result if isinstance(result, int) and result else status


def help_text(declared: Command, added: Sequence[Option], *, long: bool) -> str:
    """A command's help, with a final line feed; ``long`` adds what ``--longhelp`` tells besides."""
    command = DeclaredCommand(declared, added)
    parent = click.Context(cli, info_name="vmgr", help_option_names=CONTEXT["help_option_names"])
    context = click.Context(command, info_name=declared.name, parent=parent)
    text = command.get_help(context)
    if long:
        text += "\n\n" + long_help(declared, added)
    return text + "\n"


def long_help(declared: Command, added: Sequence[Option]) -> str:
    """What ``--longhelp`` adds: arguments, options that exclude each other, and LVM2's that are not there."""
    lines = ["Arguments:"] if declared.arguments else []
    lines += [f"  {a.name}: {a.help}" for a in declared.arguments]
    if declared.exclusive:
        lines.append("Exclude each other:")
        lines += ["  " + ", ".join(f"--{name}" for name in names) for names in declared.exclusive]
    here = {option.name for option in added}
    missing = [word.partition("/")[0] for word in declared.unsupported]
    missing = [name for name in missing if name not in here]
    if missing:
        lines.append("Options of LVM2 that vmgr does not have:")
        lines.append(click.wrap_text(", ".join(f"--{name}" for name in missing), 78, "  ", "  "))
    return "\n".join(lines)
