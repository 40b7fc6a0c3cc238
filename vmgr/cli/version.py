"""``version``: what runs here, in the lines that programs which use LVM2 look for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Command

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation


LVM2 = "2.03.16(2) (2022-05-18)"
"""The version of LVM2 whose behaviour is promised, in the form that programs look for in ``lvm version``."""

LIBRARY = "1.02.185 (2022-05-18)"
"""The version of libdevmapper that came with it."""


def version_text(*, driver: bool = True) -> str:
    """What ``version`` and ``--version`` print: LVM2's lines, then vmgr's. ``driver``: ask the kernel, too."""
    import sys

    from vmgr import __version__

    running = _driver_version() if driver else ""
    lines = [("LVM version", LVM2), ("Library version", LIBRARY)]
    if running:
        lines.append(("Driver version", running))
    lines += [("vmgr version", __version__), ("Python version", ".".join(map(str, sys.version_info[:3])))]
    return "".join(f"  {name + ':':16} {value}\n" for name, value in lines)


def run(invocation: Invocation) -> int:
    """Print the versions of LVM2 that vmgr stands for, of the kernel's device mapper, of vmgr, and of Python."""
    invocation.terminal.data(version_text(driver=bool(invocation.values.get("driverloaded", True))))
    return 0


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
    )
}
