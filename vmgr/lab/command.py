"""The command line of ``vmgr lab``: parses options into LabOptions, runs the lab, reports errors."""

from __future__ import annotations

import click

from vmgr.core.errors import UsageError, VmgrError


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    import os

    env = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or "\0" in value:
            raise UsageError(f"--env {value!r} has no variable name", hint="give NAME=VALUE, or NAME")
        if equals:
            env[name] = text
        elif name in os.environ:
            env[name] = os.environ[name]
    return env


@click.command(
    name="lab",
    context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
    short_help="Run a command on a machine with a real device mapper, without privileges.",
)
@click.option(
    "--disk",
    "disks",
    multiple=True,
    metavar="FILE[:SIZE][:ro]",
    help="A disk image: the first becomes /dev/ubda. Made sparse with SIZE (1G, 100M) if missing.",
)
@click.option("--share", "shares", multiple=True, metavar="DIR", help="A directory that the machine may write to.")
@click.option("--mem", default="1G", metavar="SIZE", show_default=True, help="Memory of the machine.")
@click.option("--udev/--no-udev", default=False, help="Run systemd-udevd in the machine.")
@click.option("--time-limit", type=float, metavar="SECONDS", help="End the machine after this time (status 124).")
@click.option("--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Set a variable for the command.")
@click.option("--cwd", metavar="DIR", help="Directory to start in, if not the current one.")
@click.option("--tty/--no-tty", default=None, help="Give the command a terminal, or do not.")
@click.option("-v", "--verbose", is_flag=True, help="Show the console of the machine on standard error.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[--] [COMMAND [ARG]...]")
def command(
    disks: tuple[str, ...],
    shares: tuple[str, ...],
    mem: str,
    udev: bool,
    time_limit: float | None,
    env: tuple[str, ...],
    cwd: str | None,
    tty: bool | None,
    verbose: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND on a User Mode Linux kernel that has every device-mapper target.

    Needs no privilege and no device mapper in this machine's kernel. The machine sees this machine's files,
    read-only; the disk images are its block devices. Without COMMAND, starts a shell.
    """
    from vmgr.lab.front import run
    from vmgr.lab.options import Disk, LabOptions, check_memory, parse_size

    if time_limit is not None and not 0 < time_limit < 1e9:
        raise UsageError(f"the time limit {time_limit:g} is not a positive number of seconds")
    options = LabOptions(
        command=command,
        disks=tuple(map(Disk.parse, disks)),
        shares=shares,
        memory=check_memory(parse_size(mem, "memory size")),
        udev=udev,
        time_limit=time_limit,
        env=_pairs(env),
        cwd=cwd,
        verbose=verbose,
        tty=tty,
    )
    raise SystemExit(run(options))


def main() -> None:
    """Run ``vmgr lab`` on its own, as ``python -m vmgr.lab``."""
    import sys

    try:
        command.main(prog_name="vmgr lab", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(3) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except VmgrError as error:
        print(f"vmgr lab: {error}", file=sys.stderr)
        for line in error.details:
            print(f"  {line}", file=sys.stderr)
        if error.hint:
            print(f"  ({error.hint})", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
