"""``version``: what runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Command

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation


def version_text() -> str:
    """The line that ``--version`` prints, and the first of ``vmgr version``."""
    from vmgr import __version__

    return f"  vmgr version:    {__version__}\n"


def run(invocation: Invocation) -> int:
    """Print the versions of vmgr, of Python, and of the kernel's device mapper."""
    import sys

    python = ".".join(map(str, sys.version_info[:3]))
    text = version_text() + f"  Python version:  {python}\n"
    driver = _driver_version() if invocation.values.get("driverloaded", True) else ""
    if driver:
        text += f"  Driver version:  {driver}\n"
    invocation.terminal.data(text)
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
