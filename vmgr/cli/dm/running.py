"""``--exec``: a program run for each device."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError, VmgrError

if TYPE_CHECKING:
    from vmgr.cli.dm.context import Context
    from vmgr.core.table import LiveDevice


def run_for(context: Context, device: LiveDevice, command: str) -> None:
    """Run a command with the path of the device's node as its last word, and wait for it.

    Words are parted at blanks, and nothing is quoted, as in dmsetup (``_exec_command``). Its exit status does not
    count. With ``--json`` what it prints goes to standard error: standard output has the object, and nothing else.
    (dmsetup gives a mangled name unmangled, so that no such node is there; here the node is.) Raises
    :class:`UsageError` for a command without words, :class:`VmgrError` for one that cannot be run.
    """
    words = command.split()
    if not words:
        raise UsageError("--exec needs a command")
    path = os.path.join(context.dev_dir, "mapper", device.name)
    if not os.path.lexists(path) and device.has_live:
        from vmgr.dm.nodes import Nodes

        Nodes(context.dev_dir).add(device.name, device.major, device.minor)
    if sys.stdout is not None:
        sys.stdout.flush()
    to_errors = [(os.POSIX_SPAWN_DUP2, 2, 1)] if context.json else []
    try:
        child = os.posix_spawnp(words[0], [*words, path], os.environ, file_actions=to_errors)
    except OSError as error:
        if context.as_dmsetup:
            return
        raise VmgrError(f"cannot run {words[0]}: {error.strerror}") from None
    os.waitpid(child, 0)
