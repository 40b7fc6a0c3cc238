"""Devices that have appeared: which groups they belong to, and whether these are complete.

LVM2 keeps files for this (``/run/lvm/pvs_online``), because it does not want to look at every device each time one
appears. vmgr looks at all of them, so that nothing can be stale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import VmgrError

if TYPE_CHECKING:
    from vmgr.core.ids import Uuid
    from vmgr.core.view import GroupView, PvView, SystemView
    from vmgr.session import Session

State = tuple[str, int]
"""Of a group: why it is left out (mostly empty), and how many of its devices are missing."""


@frozen
class Appearance:
    """What a device that has appeared brings (``pvscan --cache``).

    ``why`` says why it does not count; mostly empty. ``vg`` is the group, empty where there is none or it cannot be
    told; ``free`` tells that there is none. ``missing`` is how many of the group's devices are not there yet.
    """

    device: str
    why: str = ""
    vg: str = ""
    free: bool = False
    missing: int = 0

    @property
    def complete(self) -> bool:
        """Whether the group is there with all of its devices."""
        return bool(self.vg) and not self.why and not self.missing


def appeared(session: Session, devices: Sequence[str]) -> tuple[Appearance, ...]:
    """What each of these devices (paths, or ``major:minor``) brings, in order; none means all physical volumes."""
    view = session.shared_view(foreign=True)
    states = {group.group.id: _state(group) for group in view.groups}
    if not devices:
        return tuple(_of_pv(view, pv, states) for pv in view.pvs())
    return tuple(_of_device(session, view, path, states) for path in devices)


def claim_activation(session: Session, vg: str) -> bool:
    """Whether the caller is the first since the group was complete, and so shall activate it."""
    from vmgr.system.rundir import claim_online

    return claim_online(vg)


def _of_device(session: Session, view: SystemView, path: str, states: Mapping[Uuid, State]) -> Appearance:
    from vmgr.system.devices import device_number

    named = session.look().named
    number = re.fullmatch(r"(\d+):(\d+)", path)
    device = named.find(path) if number is None else named.at((int(number[1]), int(number[2])))
    if device is None and device_number(path) is None:
        return Appearance(path, "not found.")
    name = path if device is None else device.path
    if reason := view.refusal(name):
        return Appearance(name, f"excluded: {reason}.")
    try:
        return _of_pv(view, view.pv(name), states)
    except VmgrError as error:
        copied = any(pv.device == name or name in pv.aliases for pv in view.duplicates)
        return Appearance(name, f"excluded: {error.message}." if copied else "not an lvm device.")


def _of_pv(view: SystemView, pv: PvView, states: Mapping[Uuid, State]) -> Appearance:
    found = view.owner(pv)
    if found is not None:
        why, missing = states[found.group.id]
        return Appearance(pv.device, why, found.group.name, missing=missing)
    return Appearance(pv.device, vg=pv.vg_name, free=pv.unused, missing=1 if pv.vg_name else 0)


def _state(found: GroupView) -> State:
    why = _left_out(found)
    return why, 0 if why else len(found.missing)


def _left_out(found: GroupView) -> str:
    if found.foreign:
        return "ignore foreign VG."
    if found.group.exported:
        return "ignore exported VG."
    if found.group.lock_type not in ("", "none"):
        return "ignore shared VG."
    return ""
