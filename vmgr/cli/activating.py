"""Options about activation, which vgchange and lvchange share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation
    from vmgr.core.group_requests import Activate


def activation_request(invocation: Invocation) -> Activate | None:
    """What ``-a`` or ``--refresh`` asks for; None without either."""
    mode = "refresh" if invocation.flag("refresh") else invocation.text("activate")
    if mode is None:
        return None
    from vmgr.core.group_requests import Activate

    return Activate(
        mode,
        completeness="partial" if invocation.flag("partial") else invocation.text("activationmode"),
        ignore_skip=invocation.flag("ignoreactivationskip"),
    )
