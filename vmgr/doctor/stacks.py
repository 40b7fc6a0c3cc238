"""Volumes of which devices are missing while others run: somebody removed some of them behind the back of vmgr.

The metadata say which devices a volume consists of, so this is the only subject that reads them. Nothing is locked:
what a command is doing at this moment may look like that, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.naming import UUID_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.core.hooks import Live
    from vmgr.core.incomplete import Incomplete
    from vmgr.core.model import VolumeGroup
    from vmgr.core.targets import Targets
    from vmgr.doctor.machine import Machine
    from vmgr.system.config import Config


@frozen
class Gap:
    """Volumes of the group ``vg`` that run without all of their devices."""

    vg: str
    what: Incomplete

    @property
    def text(self) -> str:
        """Which volume misses which devices, and what runs all the same."""
        missing: dict[str, list[str]] = {}
        for volume, device in self.what.missing:
            missing.setdefault(volume, []).append(device)
        words = [
            f"logical volume {self.vg}/{volume} misses its device{'s' * (len(names) > 1)} {' and '.join(names)}"
            for volume, names in missing.items()
        ]
        left = self.what.left
        return f"{', '.join(words)}; {', '.join(left)} {'run' if len(left) > 1 else 'runs'}"

    @property
    def order(self) -> str:
        """The options and the name for ``lvchange`` that bring the devices back."""
        skipped = any("ACTIVATION_SKIP" in lv.flags for lv in self.what.volumes)
        return f"-ay {'-K ' if skipped else ''}{self.vg}/{self.what.volumes[0].name}"


def gaps(groups: Iterable[VolumeGroup], live: Live, targets: Targets) -> tuple[Gap, ...]:
    """Where devices are missing in ``groups``. ``live`` has the kernel's devices by UUID, with tables."""
    from vmgr.core.incomplete import incomplete

    return tuple(Gap(group.name, what) for group in groups for what in incomplete(group, live, targets))


def gather(machine: Machine, config: Config | None) -> tuple[Gap, ...]:
    """Read the metadata, if the kernel has devices of volumes. A group that breaks rules is left out."""
    if machine.reader is None or config is None or not any(d.uuid.startswith(UUID_PREFIX) for d in machine.devices):
        return ()
    from vmgr.registry import load_targets
    from vmgr.system.devicesfile import selection
    from vmgr.system.identity import local_system_ids, system_id
    from vmgr.system.scan import Scan

    targets = load_targets(lambda _: None)
    scan = Scan(config, targets, listed=selection(config, system_id=system_id(config)))
    try:
        groups = [view.group for view in scan.view(system_ids=local_system_ids(config)).groups if not view.faults]
    finally:
        left = scan.close()
        if left is not None:
            left.close()
    live = {device.uuid: device for device in machine.reader.devices(prefix=UUID_PREFIX, tables=True)}
    return gaps(groups, live, targets)
