"""``version``: what runs here, in the lines that programs which use LVM2 look for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Command
from vmgr.cli.options_report import REPORTFORMAT
from vmgr.core.errors import EXIT_OK

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation
    from vmgr.cli.terminal import Terminal


LVM2 = "2.03.16(2) (2022-05-18)"
"""The version of LVM2 whose behaviour is promised, in the form that programs look for in ``lvm version``."""

LIBRARY = "1.02.185 (2022-05-18)"
"""The version of libdevmapper that came with it."""


def versions(*, driver: bool = True) -> dict[str, str]:
    """The versions of LVM2 that vmgr stands for, of the kernel's device mapper, of vmgr, and of Python.

    ``driver``: ask the kernel, too; ``Driver`` is left out where its device mapper is not loaded.
    """
    import sys

    from vmgr import __version__

    running = _driver_version() if driver else ""
    return {
        "LVM": LVM2,
        "Library": LIBRARY,
        **({"Driver": running} if running else {}),
        "vmgr": __version__,
        "Python": ".".join(map(str, sys.version_info[:3])),
    }


def version_text(*, driver: bool = True) -> str:
    """What ``version`` and ``--version`` print: LVM2's lines, then vmgr's. ``driver``: ask the kernel, too."""
    return "".join(f"  {name + ' version:':16} {value}\n" for name, value in versions(driver=driver).items())


def show(terminal: Terminal, *, driver: bool = True) -> int:
    """Print the versions, or put them into the document that was asked for; the exit status."""
    if terminal.document is not None:
        terminal.document.own["versions"] = {name.lower(): value for name, value in versions(driver=driver).items()}
    else:
        terminal.data(version_text(driver=driver))
    return EXIT_OK


def run(invocation: Invocation) -> int:
    """Print the versions of what runs here."""
    return show(invocation.terminal, driver=bool(invocation.values.get("driverloaded", True)))


def _driver_version() -> str:
    """The version of the kernel's device-mapper interface; empty where it is not loaded."""
    try:
        with open("/proc/misc") as file:  # asking the device mapper itself would load its module
            if " device-mapper\n" not in file.read():
                return ""
    except OSError:
        return ""
    from vmgr.core.errors import VmgrError

    try:
        from vmgr.dm.client import DmClient

        with DmClient.open() as client:
            return ".".join(map(str, client.version()))
    except (VmgrError, OSError):
        return ""


DECLARED = {
    "version": Command(
        "version",
        "Show the versions of vmgr and of what it runs on.",
        usages=("",),
        run_alone=run,
        options=(REPORTFORMAT,),
    )
}
