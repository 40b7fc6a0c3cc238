"""``pvscan``: list physical volumes; with ``--cache``, what udev's rules of LVM2 run when a device appears."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.options_change import ACTIVATE, NOUDEVSYNC
from vmgr.cli.options_report import IGNORE_LOCK, REPORTFORMAT
from vmgr.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.services.appearance import Appearance

ONLY_WITH_CACHE = (
    "activate", "autoactivation", "checkcomplete", "listlvs", "major", "minor", "udevoutput", "vgonline",
)  # fmt: skip


def run(app: Application, invocation: Invocation) -> int:
    """List, or tell which groups devices belong to and whether these are complete."""
    if invocation.flag("cache") or (invocation.flag("listvg") and invocation.arguments):
        return _appeared(app, invocation)
    for name in (*ONLY_WITH_CACHE, "listvg"):
        if invocation.given(name):
            raise UsageError(f"--{name} goes with --cache", hint="pvscan --cache DEVICE")
    if invocation.arguments:
        raise UsageError(
            f"pvscan takes no argument {invocation.arguments[0]!r}", hint="pvs DEVICE; or pvscan --cache DEVICE"
        )
    from vmgr.cli.scans import run

    exported, free = invocation.flag("exported"), invocation.flag("novolumegroup")
    if exported and free:
        raise UsageError("--exported and --novolumegroup exclude each other", hint="give only one of them")
    if exported or free:
        which = "of exported volume group(s)" if exported else "in no volume group"
        invocation.terminal.warn(f"only considering physical volumes {which}")
    return run(app, invocation, select="vg_exported=1" if exported else 'vg_name=""' if free else "")


def _appeared(app: Application, invocation: Invocation) -> int:
    reason = skipped(app, invocation)
    if reason:
        return _skip(invocation, reason)
    devices = [*invocation.arguments, *_by_number(invocation)]
    found = app.appeared(devices)
    listing = invocation.flag("listvg") or invocation.flag("listlvs")
    for one in found:
        if listing and not one.why:
            _list(app, invocation, one)
        elif not listing:
            invocation.terminal.done(f"pvscan[{os.getpid()}] {sentence(one)}")
    mode = invocation.text("activate")
    if mode is None or invocation.flag("udevoutput"):
        return EXIT_OK
    complete = dict.fromkeys(one.vg for one in found if one.complete)
    if not complete:
        return EXIT_OK
    from vmgr.cli.output import conclude
    from vmgr.core.group_requests import Activate
    from vmgr.core.subject import Subject

    subjects = tuple(Subject(vg) for vg in complete)
    for vg in complete:
        invocation.terminal.done(f"pvscan[{os.getpid()}] VG {vg} run autoactivation.")
    return conclude(app, invocation, app.activate(subjects, Activate(mode)))


def skipped(app: Application, invocation: Invocation) -> str:
    """Why a command that udev runs (``--autoactivation event``) has nothing to do; mostly empty."""
    word = invocation.text("autoactivation")
    if word is None:
        return ""
    if word != "event":
        return "unknown autoactivation value"
    return "" if app.config.flag("global/event_activation") else "event with event_activation=0"


def _skip(invocation: Invocation, reason: str) -> int:
    if invocation.flag("udevoutput"):
        if "event_activation" in reason:
            invocation.terminal.data("LVM_EVENT_ACTIVATION=0\n")
    else:
        invocation.terminal.done(f"pvscan[{os.getpid()}] Skip pvscan for {reason}.")
    return EXIT_OK


def _by_number(invocation: Invocation) -> list[str]:
    major, minor = invocation.number("major"), invocation.number("minor")
    if (major is None) != (minor is None):
        raise UsageError("both --major and --minor are needed to name a device", hint="or name it by its path")
    return [] if major is None else [f"{major}:{minor}"]


def sentence(one: Appearance) -> str:
    """What is said of a device, in LVM2's words."""
    if one.why:
        return f"{one.device} {one.why}"
    if not one.vg:
        return f"PV {one.device} {'not used' if one.free else 'online, VG unknown'}."
    if one.missing:
        return f"PV {one.device} online, VG {one.vg} incomplete (need {one.missing})."
    return f"PV {one.device} online, VG {one.vg} is complete."


def _list(app: Application, invocation: Invocation, one: Appearance) -> None:
    """A line for the group of a device; with ``--udevoutput`` one that an udev rule imports."""
    terminal, rule = invocation.terminal, invocation.flag("udevoutput")
    if not one.vg:
        terminal.data("" if rule else "  VG unknown\n")
    elif not invocation.flag("checkcomplete"):
        terminal.data("" if rule else f"  VG {one.vg}\n")
    elif not one.complete:
        terminal.data(f"LVM_VG_NAME_INCOMPLETE='{one.vg}'\n" if rule else f"  VG {one.vg} incomplete\n")
    elif invocation.flag("vgonline") and not app.claim_activation(one.vg):
        terminal.data("" if rule else f"  VG {one.vg} finished\n")
    else:
        terminal.data(f"LVM_VG_NAME_COMPLETE='{one.vg}'\n" if rule else f"  VG {one.vg} complete\n")


AUTOACTIVATION_EVENT = Option(
    "autoactivation",
    "text",
    "event: this runs because a device appeared; do nothing where lvm.conf (event_activation) does not want that.",
    metavar="event",
)

DECLARED = {
    "pvscan": Command(
        "pvscan",
        "List all physical volumes, or tell about devices that have appeared.",
        usages=("", "--cache [PV ...]", "--cache --activate ay [PV ...]"),
        run=run,
        arguments=(
            Argument("PV", "with --cache, a device, or major:minor; none means all", needed=False, many=True),
        ),
        options=(
            ACTIVATE.with_help("With --cache: activate the groups that are complete (ay)."),
            AUTOACTIVATION_EVENT,
            Option("background", "flag", "Accepted for LVM2's sake.", "b"),
            Option("cache", "flag", "Tell of each device whether it is a physical volume, and of which group."),
            Option("checkcomplete", "flag", "With --listvg: tell whether the group is complete."),
            Option("exported", "flag", "List only physical volumes of exported groups.", "e"),
            IGNORE_LOCK,
            Option("listlvs", "flag", "With --cache: the same as --listvg."),
            Option("listvg", "flag", "With --cache or a device: print the groups of the devices."),
            Option("major", "number", "With --cache: the major number of a device.", "j"),
            Option("minor", "number", "With --cache: the minor number of a device."),
            NOUDEVSYNC,
            Option("novolumegroup", "flag", "List only physical volumes that are in no group.", "n"),
            REPORTFORMAT,
            Option("short", "flag", "Print only the devices.", "s"),
            Option("udevoutput", "flag", "With --listvg --checkcomplete: print a variable for udev, nothing else."),
            Option("uuid", "flag", "Print the UUIDs of physical volumes, too.", "u"),
            Option(
                "vgonline",
                "flag",
                "With --checkcomplete: report a complete group once, until it is deactivated or the next boot.",
            ),
        ),
    )
}
