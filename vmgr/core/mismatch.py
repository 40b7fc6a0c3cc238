"""Volumes that run on other devices than their physical volumes were found on.

A disk came back under another number, a copy of it is used, or a path instead of the multipath device: which of the
two has the newer data, nobody but the operator knows. So no change moves a volume over by loading a new table; that
is what refreshing a volume is for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.core.errors import Refused
from vmgr.core.steps import LoadTable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from vmgr.core.ids import Uuid
    from vmgr.core.phases import Plan
    from vmgr.core.table import DmDevice, LiveDevice

_NUMBERS = re.compile(r"\d+:\d+", re.ASCII).fullmatch


def elsewhere(plan: Plan, live: Mapping[str, LiveDevice], found: Collection[str]) -> Iterator[tuple[DmDevice, str]]:
    """Live devices that the plan reloads, each with a device (``major:minor``) that it runs on and is none of ours.

    ``live`` has all devices of LVM, with their tables, ``found`` the numbers of the group's physical volumes.
    """
    ours = {*found, *(f"{device.major}:{device.minor}" for device in live.values())}
    for step in plan.steps:
        if not isinstance(step, LoadTable) or step.fresh:
            continue
        now = live.get(step.device.uuid)
        for word in (w for line in (now.table if now else None) or () for w in line.params.split()):
            if _NUMBERS(word) and word not in ours:
                yield step.device, word
                break


def require_in_place(plan: Plan, live: Mapping[str, LiveDevice], found: Mapping[Uuid, str]) -> None:
    """Raise :class:`Refused` for a plan that would move a live volume to another device than it runs on.

    ``found`` gives the number of each physical volume. What is refreshed may be moved: that says what is meant.
    """
    if all(change.refresh and not change.changes_metadata for change in plan.changes):
        return
    for device, number in elsewhere(plan, live, frozenset(found.values())):
        vg, lv = device.link or ("", device.name)
        name = f"{vg}/{lv}" if vg else lv
        raise Refused(
            f"{name} runs on the device {number}, on which none of its physical volumes was found; the change would"
            " move it to another device",
            hint=f"see which device has the right data (vmgr dm deps, pvs); lvchange --refresh {name} moves it",
        )
